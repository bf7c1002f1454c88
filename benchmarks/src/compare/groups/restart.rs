//! The relay ends, in order or not, and starts again from the section that it left.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::compare::bench::Bench;
use crate::compare::cleanup;
use crate::compare::servers::{Launch, Server, free_port};
use crate::compare::talk::Talk;
use crate::compare::wire::{Op, Shape};

/// A relay that does not answer by then failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// From the start of the process to the first session that it gives, and until it says that it is ready.
pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.begin("restart", 2 * bench.sizes.reps);
    let gs = bench.gs()?;
    let home = tempfile::Builder::new().prefix("gs-compare-").tempdir()?;
    let port = free_port()?;
    let launch = Launch { dir: Some(home.path()), port, ..bench.launch() };
    let mut server = bench.start(&gs, &launch)?;
    bench.preload(&server, bench.sizes.keys, bench.sizes.value_bytes, Op::SetEx)?;
    let result = (|| {
        for rep in 0..bench.sizes.reps {
            for (case, signal) in [("after SIGTERM", Signal::TERM), ("after SIGKILL", Signal::KILL)] {
                bench.step(case);
                end(&server, signal)?;
                server.kill_quietly();
                let addr = server.addr;
                let watcher = std::thread::spawn(move || first_answer(addr, Instant::now()));
                let began = Instant::now();
                server = bench.start(&gs, &launch)?;
                let ready_ms = began.elapsed().as_secs_f64() * 1e3;
                let answer_ms = match watcher.join() {
                    Ok(answer) => answer?,
                    Err(_) => anyhow::bail!("the thread that asks has panicked"),
                };
                let held = Talk::to(server.addr)?.number(&["DBSIZE"])?;
                anyhow::ensure!(held >= bench.sizes.keys, "{held} sessions after the restart");
                let figures = [("answer_ms", answer_ms), ("ready_ms", ready_ms), ("sessions", held as f64)];
                bench.keep_figures(&gs.name, case, (1, bench.sizes.value_bytes), rep, &figures);
            }
        }
        Ok(())
    })();
    server.kill_quietly();
    drop(server);
    cleanup::remove_sections(home.path());
    result
}

fn end(server: &Server, signal: Signal) -> anyhow::Result<()> {
    let relay = *server.pids().first().context("a server has a process")?;
    let pid = Pid::from_raw(relay as i32).context("a process id")?;
    kill_process(pid, signal)?;
    let began = Instant::now();
    // As a zombie it is still listed, but has let go of its port.
    while TcpStream::connect(server.addr).is_ok() || runs(relay) {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the relay does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|text| text.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

/// Milliseconds until a session is given, asked for each time on a new connection.
fn first_answer(addr: std::net::SocketAddr, began: Instant) -> anyhow::Result<f64> {
    let shape = Shape::new(crate::compare::wire::Speech::Resp, 384);
    let mut request = Vec::new();
    let want = shape.ask(Op::Get, 7, &mut request);
    let mut reply = vec![0; 4096];
    loop {
        let tried = TcpStream::connect(addr).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(&request)?;
            stream.read(&mut reply)
        });
        if let Ok(bytes) = tried
            && let Some((_, true)) = shape.judge(&want, &reply[..bytes])
        {
            return Ok(began.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "no session within {PATIENCE:?} of the restart");
        std::thread::sleep(Duration::from_millis(1));
    }
}
