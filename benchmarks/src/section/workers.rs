//! Other processes at the same section: the benchmark starts itself again, and each copy attaches, says that it is
//! ready, waits for a line, works for a while, and says how many operations it did.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use gs_shm::Lookup;
use rustix::process::Pid;

use super::cores;
use super::store::{Keys, Shape, Store};

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Job {
    /// Reads random objects; a miss is counted as an error.
    Read,
    /// Overwrites random objects.
    Write,
}

struct Worker {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Operations per second of each of these jobs, done at once by a process each.
pub fn at_once(dir: &Path, name: &str, shape: Shape, jobs: &[Job], for_ms: u64) -> anyhow::Result<Vec<f64>> {
    let start = |(seed, job): (usize, &Job)| {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["worker", name, &format!("{job:?}"), &for_ms.to_string(), &seed.to_string()])
            .args([shape.objects.to_string(), shape.value_len.to_string()])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting this program as a worker")?;
        let answers = BufReader::new(child.stdout.take().context("its output")?);
        // Where there are enough cores, each worker has its own from the start.
        if let Some(core) = cores::nth(seed) {
            cores::keep(Pid::from_raw(child.id().cast_signed()).context("a process id")?, &core)?;
        }
        let mut worker = Worker { child, answers };
        ensure!(worker.line()? == "ready", "a worker could not attach");
        Ok(worker)
    };
    let mut workers = jobs.iter().enumerate().map(start).collect::<anyhow::Result<Vec<Worker>>>()?;
    for worker in &mut workers {
        writeln!(worker.child.stdin.as_mut().context("its input")?, "go")?;
    }
    workers.iter_mut().map(|worker| Ok(worker.line()?.parse()?)).collect()
}

/// The worker's side of [`at_once`].
pub fn work(args: &[String]) -> anyhow::Result<()> {
    let [name, job, for_ms, seed, objects, value_len, dir] = args else {
        bail!("a worker takes seven arguments");
    };
    let shape = Shape { objects: objects.parse()?, value_len: value_len.parse()? };
    let store = Store::shared(Path::new(dir), name, shape, false)?;
    let keys = Keys::uniform_from(seed.parse::<u64>()? + 7, shape.objects, 200_000);
    let mut out = Vec::with_capacity(8192);
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let start = Instant::now();
    let until = Duration::from_millis(for_ms.parse()?);
    let mut done = 0usize;
    while start.elapsed() < until {
        for _ in 0..500 {
            let key = keys.at(done);
            match job.as_str() {
                "Write" => store.set(key)?,
                _ => match store.try_get(key, &mut out) {
                    Lookup::Hit(_) | Lookup::Contended => {}
                    Lookup::Miss { .. } => bail!("an object that is always there was missed"),
                },
            }
            done += 1;
        }
    }
    println!("{:.0}", done as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
