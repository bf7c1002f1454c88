//! Front-end machines: a section in a directory, and processes that share it.

use crate::node::remove_sections;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A front-end machine. Its section goes with it.
pub struct Machine {
    dir: PathBuf,
    relay: String,
    program: PathBuf,
    lease: Duration,
}

/// One process on it.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Machine {
    /// A machine whose section lives in `dir`, in front of one relay. `program` is the test's own
    /// front-end process (`env!("CARGO_BIN_EXE_gs-test-front-end")`).
    pub fn new(dir: &Path, relay: &str, program: &str) -> Machine {
        let lease = Duration::from_secs(1);
        Machine { dir: dir.to_path_buf(), relay: relay.to_owned(), program: program.into(), lease }
    }

    /// Asks for a lease of this length instead of the default; the relay's `lease_ms` bounds it, too.
    pub fn lease(mut self, lease: Duration) -> Machine {
        self.lease = lease;
        self
    }

    /// Starts a process that makes the section.
    pub fn create(&self) -> Process {
        self.start("create")
    }

    /// Starts a process that attaches to the section.
    pub fn attach(&self) -> Process {
        self.start("attach")
    }

    fn start(&self, how: &str) -> Process {
        let mut child = Command::new(&self.program)
            .arg(&self.dir)
            .args([&self.relay, how, &self.lease.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the front-end process can be started");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut process = Process { child, input, output: BufReader::new(output) };
        assert_eq!(process.hear(), "open");
        process
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        remove_sections(&self.dir);
    }
}

impl Process {
    /// One line to the process, its one line back.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// One line to the process; its answer is not awaited.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap_or_else(|e| panic!("{line:?}: {e}"));
    }

    /// The next line of the process.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output is readable");
        assert!(!line.is_empty(), "the front-end process ended");
        line.trim_end().to_owned()
    }

    /// Waits until the section may answer: connected, and with a lease.
    pub fn ready(mut self) -> Process {
        assert_eq!(self.ask("ready"), "true", "no lease");
        self
    }

    /// One of the process's own counters.
    pub fn stat(&mut self, name: &str) -> u64 {
        let stats = self.ask("stats");
        let mut pairs = stats.split(' ').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(n, _)| *n == name).map(|(_, value)| value).unwrap_or_default();
        value.parse().unwrap_or_else(|_| panic!("no figure {name} in {stats:?}"))
    }

    /// The process id, for signals.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.child.id() as i32).expect("a child has a positive pid")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended already, which is what the caller wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
