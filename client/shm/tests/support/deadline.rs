//! A test that hangs must fail and say so, not stand until someone kills the whole run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static PROGRESS: AtomicU64 = AtomicU64::new(0);
static WATCHED: std::sync::Once = std::sync::Once::new();

/// Time without any step forward, on however slow a machine, that can only be a hang.
const HANG: Duration = Duration::from_secs(120);

/// Says that a test got somewhere; from the first time on, the process is ended if nothing more is heard.
pub(crate) fn step_forward() {
    PROGRESS.fetch_add(1, Ordering::SeqCst);
    WATCHED.call_once(|| {
        std::thread::spawn(|| {
            let mut last = PROGRESS.load(Ordering::SeqCst);
            loop {
                std::thread::sleep(HANG);
                let now = PROGRESS.load(Ordering::SeqCst);
                if now == last {
                    eprintln!("nothing moved for {HANG:?}: something hangs");
                    std::process::abort();
                }
                last = now;
            }
        });
    });
}
