//! Open loop: requests are due at a rate, whether or not earlier ones were answered, and their latency counts from
//! when they were due. So a server that stalls is charged for everybody who would have come meanwhile
//! (the correction of coordinated omission).

use std::time::{Duration, Instant};

use super::load::{Crowd, Outcome, Plan, Tally};
use super::servers::Server;

/// Longest after the last request was due that replies are awaited.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `plan` at `rate` operations a second; its depth does not matter.
pub fn open(crowd: &mut Crowd, server: &Server, plan: &Plan, rate: f64) -> anyhow::Result<Outcome> {
    let mut tally = Tally::new();
    let wanted = ((plan.time.as_secs_f64() * rate) as u64).clamp(1, plan.ops_max);
    let (began, cpu_before) = (Instant::now(), server.cpu_seconds());
    let due = |n: u64| began + Duration::from_secs_f64(n as f64 / rate);
    let (mut made, mut unsent) = (0u64, Vec::new());
    let end = due(wanted) + PATIENCE;
    while tally.right + tally.wrong < wanted {
        let now = Instant::now();
        anyhow::ensure!(now < end, "{} of {wanted} requests are not answered", wanted - tally.right);
        while made < wanted && due(made) <= now {
            let nth = made as usize % crowd.conns.len();
            crowd.conns[nth].make(due(made));
            made += 1;
            if !crowd.conns[nth].send()? {
                unsent.push(nth);
            }
        }
        // No waiting: a sleep would be late for the next one.
        for nth in crowd.ready(Duration::ZERO)? {
            crowd.conns[nth].receive(&mut tally)?;
        }
        crowd.send_rest(&mut unsent)?;
    }
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
    Ok(Outcome { ops: wanted, seconds, cpu_s, tally, others_pct: None })
}
