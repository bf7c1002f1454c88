//! Runs that are compared with each other, cut into slices that take turns.
//!
//! A virtual machine has phases: for seconds everything that touches the kernel costs nearly twice as much, whoever
//! does it. Runs of a second one after the other meet different phases, and their ratio says which; slices of a
//! tenth of that, in turns, meet the same ones.

use anyhow::Context as _;

use super::bench::Bench;
use super::load::{Crowd, Outcome, Plan};
use super::open::open;
use super::others::Others;
use super::servers::Server;

/// Slices of a run.
const SLICES: u32 = 10;
/// What others may use of the cores, in per cent: about what the kernel itself does.
const CALM_PCT: f64 = 3.0;

/// Makes one slice of a run.
pub type Slice<'a> = Box<dyn FnMut(&Plan) -> anyhow::Result<Outcome> + 'a>;

/// One of the runs.
pub struct Lane<'a> {
    /// The server's name in the results.
    pub name: String,
    /// What is done.
    pub case: String,
    /// How much of it in all.
    pub plan: Plan,
    /// How a slice is made.
    pub slice: Slice<'a>,
    /// Servers whose processes take part.
    pub servers: Vec<&'a Server>,
}

impl<'a> Lane<'a> {
    /// A lane that does not know yet how it is run.
    pub fn of(server: &'a Server, case: &str, plan: &Plan) -> Lane<'a> {
        Lane {
            name: server.name.clone(),
            case: case.to_owned(),
            plan: plan.clone(),
            slice: Box::new(|_| anyhow::bail!("a lane without a slice")),
            servers: vec![server],
        }
    }

    /// A closed loop.
    pub fn closed(server: &'a Server, case: &str, plan: &Plan) -> anyhow::Result<Lane<'a>> {
        let mut crowd = Crowd::new(server, plan)?;
        let slice: Slice<'a> = Box::new(move |plan| crowd.closed(server, plan));
        Ok(Lane { slice, ..Lane::of(server, case, plan) })
    }

    /// An open loop at this rate.
    pub fn open(server: &'a Server, case: &str, plan: &Plan, rate: f64) -> anyhow::Result<Lane<'a>> {
        let mut crowd = Crowd::new(server, plan)?;
        let slice: Slice<'a> = Box::new(move |plan| open(&mut crowd, server, plan, rate));
        Ok(Lane { slice, ..Lane::of(server, case, plan) })
    }

    /// CPU of further servers counts as well.
    pub fn beside(mut self, others: Vec<&'a Server>) -> Lane<'a> {
        let counted = others.clone();
        let mut inner = self.slice;
        self.slice = Box::new(move |plan| {
            let cpu = || counted.iter().map(|server| server.cpu_seconds()).sum::<f64>();
            let before = cpu();
            let mut outcome = inner(plan)?;
            outcome.cpu_s += cpu() - before;
            Ok(outcome)
        });
        self.servers.extend(others);
        self
    }
}

impl Bench {
    /// Runs lanes in slices and keeps what came out; again, a few times, while others use the cores.
    ///
    /// Who else ran decides whether a run is made again, never what came out.
    pub fn race(&mut self, mut lanes: Vec<Lane<'_>>, rep: usize) -> anyhow::Result<()> {
        lanes.iter().for_each(|lane| self.step(&format!("{} p{} {}", lane.case, lane.plan.depth, lane.name)));
        // Who comes first has the colder caches.
        let by = rep % lanes.len().max(1);
        lanes.rotate_left(by);
        let mut best: Option<(Vec<Outcome>, f64)> = None;
        for _ in 0..self.sizes.tries {
            let (outcomes, others) = self.once(&mut lanes)?;
            if best.as_ref().is_none_or(|(_, least)| others < *least) {
                best = Some((outcomes, others));
            }
            if others < CALM_PCT {
                break;
            }
        }
        let (outcomes, others) = best.context("nothing was run")?;
        for (lane, mut outcome) in lanes.iter().zip(outcomes) {
            let what = format!("{}: {} p{}", lane.name, lane.case, lane.plan.depth);
            outcome.others_pct = Some(others);
            let outcome = outcome.must_be_right(&what)?;
            self.keep(&lane.name, &lane.case, &lane.plan, rep, &outcome);
        }
        Ok(())
    }

    /// All slices of all lanes in turns, and what others used of the cores meanwhile, in per cent.
    fn once(&self, lanes: &mut [Lane<'_>]) -> anyhow::Result<(Vec<Outcome>, f64)> {
        let pids = lanes.iter().flat_map(|lane| &lane.servers).flat_map(|server| server.pids());
        let others = Others::than(pids, &self.cores);
        let mut sums: Vec<Option<Outcome>> = lanes.iter().map(|_| None).collect();
        for _ in 0..SLICES {
            for (lane, sum) in lanes.iter_mut().zip(&mut sums) {
                let ops_max = lane.plan.ops_max / u64::from(SLICES);
                let part =
                    Plan { time: lane.plan.time / SLICES, ops_max: ops_max.max(1), ..lane.plan.clone() };
                let what = || format!("{}: {} p{}", lane.name, lane.case, lane.plan.depth);
                let part = (lane.slice)(&part).with_context(what)?;
                match sum {
                    Some(sum) => sum.add(part),
                    None => *sum = Some(part),
                }
            }
        }
        Ok((sums.into_iter().flatten().collect(), others.pct()))
    }
}
