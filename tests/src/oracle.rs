//! Debian's redis-server, started for one test.

use crate::wire::Wire;
use crate::{peers, ports, wait};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A redis-server without persistence that ends with this value.
pub struct Oracle {
    child: Child,
    addr: String,
    _dir: TempDir,
}

impl Oracle {
    /// Starts one, or `None` where it is not installed (see [`peers::find`]).
    pub fn start() -> Option<Oracle> {
        let program = peers::find("redis-server")?;
        let dir = tempfile::tempdir().expect("a directory can be made");
        let port = ports::reserve();
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server can be started");
        let oracle = Oracle { child, addr: format!("127.0.0.1:{port}"), _dir: dir };
        wait::until_true("redis-server answers", || {
            Wire::try_connect(oracle.addr.as_str()).is_ok_and(|mut w| w.try_call(&["PING"]).is_ok())
        });
        Some(oracle)
    }

    /// `127.0.0.1:PORT`
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// A new connection.
    pub fn wire(&self) -> Wire {
        Wire::connect(self.addr.as_str())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Nothing is to be kept, so nothing has to be said politely.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
