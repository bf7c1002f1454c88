//! The machine that is measured on: which core does what, what a process has used, what memory it holds.

use std::path::Path;

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// Which core serves and which makes the load.
#[derive(Clone, Debug, Serialize)]
pub struct Cores {
    /// Where servers run.
    pub server: usize,
    /// Where the load generator runs.
    pub load: usize,
    /// Cores that this process may use.
    pub usable: usize,
}

impl Cores {
    /// The first usable core for servers, the second for load; the same one where there is no second.
    pub fn of_this_machine() -> anyhow::Result<Cores> {
        let set = sched_getaffinity(None).context("asking for the usable cores")?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        let first = *usable.first().context("no usable core")?;
        let cores =
            Cores { server: first, load: usable.get(1).copied().unwrap_or(first), usable: usable.len() };
        if !cores.separate() {
            eprintln!("one core only: servers and load take turns on it, and throughput says nothing");
        }
        cores.pin_load()?;
        Ok(cores)
    }

    /// Whether load and servers have a core each.
    pub fn separate(&self) -> bool {
        self.server != self.load
    }

    /// This thread makes load from now on.
    pub fn pin_load(&self) -> anyhow::Result<()> {
        pin(&[self.load])
    }

    /// Runs `start` where servers run: the processes and threads that it starts stay there.
    pub fn as_server<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        pin(&[self.server])?;
        let started = start();
        self.pin_load()?;
        started
    }

    /// As [`Cores::as_server`] on both cores.
    pub fn as_wide_server<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        pin(&[self.server, self.load])?;
        let started = start();
        self.pin_load()?;
        started
    }
}

fn pin(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).context("pinning to a core")
}

/// Seconds of CPU, user and system, that these processes have used.
///
/// The scheduler's own account in nanoseconds where the kernel keeps one; `utime + stime` comes in steps of 10 ms.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| exact_seconds(*pid).or_else(|| ticked_seconds(*pid)).unwrap_or(0.0)).sum()
}

fn exact_seconds(pid: u32) -> Option<f64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut ns = 0u64;
    for task in tasks.flatten() {
        // A thread may end between the listing and the look.
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        ns += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    (ns > 0).then_some(ns as f64 / 1e9)
}

fn ticked_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; state is the first field behind it, utime the twelfth.
    let mut fields = text.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Seconds that these cores have been busy with anything, the machine below included.
pub fn busy_seconds(cores: &Cores) -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let busy = |core: usize| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
        let ticks: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        Some([0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<u64>())
    };
    let mut ticks = busy(cores.server).unwrap_or(0);
    if cores.separate() {
        ticks += busy(cores.load).unwrap_or(0);
    }
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The processes that this one started, and theirs.
pub fn family_of(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all
}

/// Resident bytes of these processes that no file stands for.
pub fn private_bytes(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| status_kib(*pid, "RssAnon:") * 1024).sum()
}

/// Resident bytes of these processes but for shared memory.
pub fn unshared_bytes(pids: &[u32]) -> u64 {
    let of = |pid: &u32| status_kib(*pid, "RssAnon:") + status_kib(*pid, "RssFile:");
    pids.iter().map(|pid| of(pid) * 1024).sum()
}

/// All resident bytes of these processes; shared pages count in each.
pub fn resident_bytes(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| status_kib(*pid, "VmRSS:") * 1024).sum()
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The files in shared memory that the `*.cur` files below a node's directory name.
pub fn sections_of(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(sections_of(&path));
        } else if path.extension().is_some_and(|end| end == "cur")
            && let Ok(name) = std::fs::read_to_string(&path)
        {
            let name = name.trim().trim_start_matches('/');
            if name.starts_with("gs-") && !name.contains('/') {
                found.push(Path::new("/dev/shm").join(name));
            }
        }
    }
    found
}

/// Bytes that a file in shared memory takes, not those that it could grow to.
pub fn allocated_bytes(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(file).map_or(0, |meta| meta.blocks() * 512)
}

/// The commit of this source, if git knows it.
pub fn revision() -> String {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let known = output.ok().filter(|output| output.status.success());
    known.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

/// What is worth knowing of the machine beside the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    cpu: String,
    kernel: String,
    cores: Cores,
    huge_pages: String,
    shared_memory: String,
}

/// Describes it.
pub fn describe(cores: &Cores) -> Described {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let mounts = read("/proc/mounts");
    Described {
        cpu: model.unwrap_or("unknown").trim_start_matches(['\t', ' ', ':']).to_owned(),
        kernel: read("/proc/sys/kernel/osrelease"),
        cores: cores.clone(),
        huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled"),
        shared_memory: mounts
            .lines()
            .rfind(|line| line.contains(" /dev/shm "))
            .unwrap_or("no /dev/shm")
            .to_owned(),
    }
}
