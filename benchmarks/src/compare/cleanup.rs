//! Nothing stays behind: servers and sections go with the run, also when it is interrupted.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// What a server would leave: its process group, its directory.
#[derive(Debug)]
struct Left {
    group: u32,
    dir: PathBuf,
}

static LEFT: Mutex<Vec<Left>> = Mutex::new(Vec::new());

/// Remembers a server until it ended.
pub fn remember(group: u32, dir: &Path) {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(Left { group, dir: dir.to_path_buf() });
}

/// Ends a process group at once; its sections stay.
pub fn end(group: u32) {
    if let Some(pid) = Pid::from_raw(group as i32) {
        // It may have ended already.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).retain(|left| left.group != group);
}

/// Unlinks the sections that a directory names.
pub fn remove_sections(dir: &Path) {
    for file in super::machine::sections_of(dir) {
        let _ = std::fs::remove_file(file);
    }
}

/// From now on SIGINT and SIGTERM end every server that is remembered, then this process.
pub fn on_signals() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut term)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = int.recv() => {} _ = term.recv() => {} }
            let left = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
            for Left { group, dir } in left {
                if let Some(pid) = Pid::from_raw(group as i32) {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                remove_sections(&dir);
                let _ = std::fs::remove_dir_all(&dir);
            }
            std::process::exit(1);
        });
    })?;
    Ok(())
}
