//! What every group of measurements stands on: the options, the servers, the progress, the results.

use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::load::{self, Outcome, Plan};
use super::machine::{self, Cores};
use super::mix::{Draw, Keys, Mix};
use super::results::{Figures, Group, Sample};
use super::servers::{Launch, Peer, Server};
use super::wire::Op;

/// What the command line said, in the units of the measurements.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Interleaved repetitions, each with fresh servers.
    pub reps: usize,
    /// How often a run is made at most while others use the cores.
    pub tries: usize,
    /// Length of one run.
    pub time: Duration,
    /// At most so many operations in one run.
    pub ops_max: u64,
    /// Sessions that are preloaded.
    pub keys: u64,
    /// Sessions of the larger of the two sizes in `growth`.
    pub keys_grown: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Connections.
    pub conns: usize,
    /// Idle connections.
    pub idle: usize,
    /// Pipeline depths.
    pub depths: Vec<usize>,
    /// Bytes of the memory that the dependent read wanders through.
    pub dram_bytes: usize,
}

impl Sizes {
    /// The measurement.
    pub fn full() -> Sizes {
        Sizes {
            reps: 5,
            tries: 3,
            time: Duration::from_millis(1000),
            ops_max: 50_000_000,
            keys: 1_000_000,
            keys_grown: 10_000_000,
            value_bytes: 384,
            conns: 50,
            idle: 10_000,
            depths: vec![1, 16, 64],
            dram_bytes: 1 << 30,
        }
    }

    /// Seconds long: it shows that everything works, its figures mean nothing.
    pub fn quick() -> Sizes {
        Sizes {
            reps: 1,
            tries: 1,
            time: Duration::from_millis(100),
            ops_max: 4_000,
            keys: 4_000,
            keys_grown: 8_000,
            conns: 10,
            idle: 100,
            depths: vec![1, 16],
            dram_bytes: 8 << 20,
            ..Sizes::full()
        }
    }
}

/// Everything a group needs.
pub struct Bench {
    /// How much is measured.
    pub sizes: Sizes,
    /// Which core does what.
    pub cores: Cores,
    /// Servers, gs first.
    pub peers: Vec<Peer>,
    /// Show progress.
    pub quiet: bool,
    /// The group that is being measured.
    pub group: Group,
    bar: ProgressBar,
    began: Instant,
}

impl Bench {
    /// Ready for its first group.
    pub fn new(sizes: Sizes, cores: Cores, peers: Vec<Peer>, quiet: bool) -> Bench {
        Bench {
            sizes,
            cores,
            peers,
            quiet,
            group: Group::default(),
            bar: ProgressBar::hidden(),
            began: Instant::now(),
        }
    }

    /// Begins a group of so many steps.
    pub fn begin(&mut self, name: &str, steps: usize) {
        let keys = self.sizes.keys;
        self.group = Group { keys, revision: machine::revision(), ..Group::default() };
        self.began = Instant::now();
        if !self.quiet {
            let style = "{prefix:>10} [{bar:40}] {pos}/{len} {elapsed}, {eta} left: {msg}";
            self.bar = ProgressBar::new(steps as u64);
            self.bar.set_style(ProgressStyle::with_template(style).expect("the template is right"));
            self.bar.set_prefix(name.to_owned());
        }
    }

    /// Ends the group and gives what it found.
    pub fn end(&mut self) -> Group {
        self.bar.finish_and_clear();
        self.group.took_s = self.began.elapsed().as_secs_f64();
        std::mem::take(&mut self.group)
    }

    /// A step that takes a while begins.
    pub fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.inc(1);
    }

    /// gs.
    pub fn gs(&self) -> anyhow::Result<Peer> {
        self.peers.iter().find(|peer| peer.is_gs()).cloned().context("gs-server is not among the servers")
    }

    /// Those that speak RESP.
    pub fn resp_peers(&self) -> Vec<Peer> {
        self.peers.iter().filter(|peer| peer.is_resp()).cloned().collect()
    }

    /// Bytes of a section with room for so many sessions of this size, and a quarter more.
    pub fn capacity(keys: u64, value_bytes: usize) -> u64 {
        let blocks = (value_bytes as u64 + 32 + 64).div_ceil(240);
        (keys * (blocks * 256 + 32) * 5 / 4).max(16 << 20)
    }

    /// How servers are started for the usual number of sessions.
    pub fn launch(&self) -> Launch<'static> {
        let capacity = Self::capacity(self.sizes.keys, self.sizes.value_bytes);
        Launch { capacity, ..Launch::default() }
    }

    /// Starts a server and remembers its version.
    pub fn start(&mut self, peer: &Peer, launch: &Launch<'_>) -> anyhow::Result<Server> {
        let server = peer.start(&self.cores, launch)?;
        self.group.servers.insert(peer.name.clone(), server.version.clone());
        Ok(server)
    }

    /// Starts every one of these and preloads it.
    pub fn start_loaded(&mut self, peers: &[Peer]) -> anyhow::Result<Vec<Server>> {
        let launch = self.launch();
        let mut servers = Vec::new();
        for peer in peers {
            self.bar.set_message(format!("{} starts and is loaded", peer.name));
            let server = self.start(peer, &launch)?;
            self.preload(&server, self.sizes.keys, self.sizes.value_bytes, Op::SetEx)?;
            servers.push(server);
        }
        Ok(servers)
    }

    /// Writes every session once.
    pub fn preload(&self, server: &Server, keys: u64, value_bytes: usize, op: Op) -> anyhow::Result<()> {
        let plan = Plan {
            mix: Mix::Only(op),
            keys: Keys::new(keys, Draw::Once(0)),
            value_bytes,
            conns: 8,
            depth: if value_bytes > 4096 { 8 } else { 64 },
            time: Duration::from_secs(600),
            ops_max: keys,
            tls: None,
        };
        // Each lane ends at a whole batch: a few sessions beyond the last one are written as well.
        load::closed(server, &plan)?.must_be_right(&format!("{}: preloading", server.name))?;
        Ok(())
    }

    /// A plan of the usual size.
    pub fn plan(&self, mix: Mix, keys: &Keys, depth: usize) -> Plan {
        Plan {
            mix,
            keys: keys.clone(),
            value_bytes: self.sizes.value_bytes,
            conns: self.sizes.conns,
            depth,
            time: self.sizes.time,
            ops_max: self.sizes.ops_max,
            tls: None,
        }
    }

    /// Keeps a run's usual figures.
    pub fn keep(&mut self, server: &str, case: &str, plan: &Plan, rep: usize, outcome: &Outcome) {
        let quantile = |share: f64| outcome.tally.latency.value_at_quantile(share) as f64 / 1e3;
        let figures = [
            ("ops_s", outcome.ops_s()),
            ("cpu_us", outcome.cpu_us()),
            ("p50_us", quantile(0.5)),
            ("p99_us", quantile(0.99)),
            ("p999_us", quantile(0.999)),
        ];
        self.keep_figures(server, case, (plan.depth, plan.value_bytes), rep, &figures);
        if let (Some(others), Some(sample)) = (outcome.others_pct, self.group.samples.last_mut()) {
            sample.figures.insert("others_pct".into(), others);
        }
    }

    /// Keeps other figures; `at` is pipeline and bytes.
    pub fn keep_figures(
        &mut self,
        server: &str,
        case: &str,
        at: (usize, usize),
        rep: usize,
        figures: &[(&str, f64)],
    ) {
        let figures: Figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.group.samples.push(Sample {
            case: case.to_owned(),
            pipeline: at.0,
            bytes: at.1,
            server: server.to_owned(),
            rep,
            figures,
        });
    }
}
