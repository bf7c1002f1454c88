//! One `gs-server` process: started, read, signalled, restarted, and gone without a trace.

use crate::wire::{Value, Wire};
use crate::{bins, wait};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// What every node is told first. A write waits as long as it takes until there is room, and nobody is taken for away
/// because he was not heard for a moment: where processors are scarce, neither tells anything of the product. A test
/// that is about one of them says so after it.
const PATIENT: [&str; 4] = ["--set", "section.full_wait_ms=30s", "--set", "heartbeat_ms=500ms"];

/// How to start a node. Keeps everything, so that a restart is the same start again.
#[derive(Clone, Debug)]
pub struct Spec {
    args: Vec<String>,
    dir: PathBuf,
    ready: Vec<&'static str>,
}

impl Spec {
    /// A node of one role whose state lives in `dir`.
    pub fn role(role: &'static str, dir: &Path) -> Spec {
        let mut ready = vec![role];
        if role == "relay" {
            ready.push("sibling");
        }
        let mut args = vec!["--role".to_owned(), role.to_owned()];
        // A relief's own heartbeat is what it is heard by.
        if !role.starts_with("relief") {
            args.extend(PATIENT.map(str::to_owned));
        }
        Spec { args, dir: dir.to_path_buf(), ready }
    }

    /// The whole family in one process.
    pub fn family(dir: &Path) -> Spec {
        let ready = vec!["relay", "sibling", "relief-expansion", "relief-aging"];
        Spec { args: PATIENT.map(str::to_owned).to_vec(), dir: dir.to_path_buf(), ready }
    }

    /// Adds `--name value`.
    pub fn flag(mut self, name: &str, value: impl ToString) -> Spec {
        self.args.extend([format!("--{name}"), value.to_string()]);
        self
    }

    /// Adds `--set key=value`.
    pub fn set(mut self, key: &str, value: impl ToString) -> Spec {
        self.args.extend(["--set".into(), format!("{key}={}", value.to_string())]);
        self
    }

    /// Uses another directory: a sibling shares its relay's.
    pub fn in_dir(mut self, dir: &Path) -> Spec {
        self.dir = dir.to_path_buf();
        self
    }

    /// Waits only for these roles to be ready, not for the usual ones.
    pub fn ready(mut self, roles: &[&'static str]) -> Spec {
        self.ready = roles.to_vec();
        self
    }
}

/// One `listening ROLE PROTO ADDR:PORT` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `relay`, `sibling`, `relief-expansion` or `relief-aging`
    pub role: String,
    /// `resp`, `resp-tls` or `http`
    pub proto: String,
    /// `127.0.0.1:7878`
    pub addr: String,
}

/// A running process.
pub struct Node {
    spec: Spec,
    child: Child,
    stdout: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Starts the process and waits until every role said that it is ready.
    pub fn start(spec: Spec) -> Node {
        let node = Node::spawn(spec);
        node.wait_ready();
        if node.spec.ready.first() == Some(&"relay") && node.spec.ready.len() > 2 {
            // Its two reliefs join one after the other.
            wait::until("both reliefs have joined", || {
                let nodes = node.wire_to("sibling").call(&["GS.SHARD", "NODES"]);
                let up = nodes.items().iter().filter(|n| n.must("state").text() == "up").count();
                if up == 2 { Ok(()) } else { Err(nodes.flat()) }
            });
            knows_what_is_absent(&node.addr());
        }
        node
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(spec: Spec) -> Node {
        std::fs::create_dir_all(&spec.dir).expect("the node's directory can be made");
        let (child, stdout) = launch(&spec);
        Node { spec, child, stdout }
    }

    /// Waits until every expected role said `ready ROLE`; panics with the log if the process ends first.
    pub fn wait_ready(&self) {
        let outcome = wait::until_within(wait::PATIENCE, || {
            let lines = self.lines();
            let missing: Vec<_> =
                self.spec.ready.iter().filter(|r| !lines.contains(&format!("ready {r}"))).collect();
            if missing.is_empty() {
                return Ok(Ok(()));
            }
            if !self.runs() {
                return Ok(Err("the process ended before it was ready"));
            }
            Err(format!("no `ready` line of {missing:?}"))
        });
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(why)) => panic!("{why}\n{}", self.story()),
            Err(why) => panic!("{why}\n{}", self.story()),
        }
    }

    /// What stdout said so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.lock().expect("the reader does not panic").clone()
    }

    /// Every listener that was announced.
    pub fn listeners(&self) -> Vec<Listener> {
        let parse = |line: &String| {
            let mut words = line.strip_prefix("listening ")?.split(' ');
            let (role, proto, addr) = (words.next()?, words.next()?, words.next()?);
            Some(Listener { role: role.into(), proto: proto.into(), addr: addr.into() })
        };
        self.lines().iter().filter_map(parse).collect()
    }

    /// Where `role` speaks `proto`. The last line counts: a respawned child announces itself again.
    pub fn addr_of(&self, role: &str, proto: &str) -> String {
        let found = self.listeners().into_iter().rev().find(|l| l.role == role && l.proto == proto);
        found.unwrap_or_else(|| panic!("no line `listening {role} {proto}`\n{}", self.story())).addr
    }

    /// Where the node's own (first) role speaks RESP.
    pub fn addr(&self) -> String {
        self.addr_of(self.spec.ready[0], "resp")
    }

    /// The port of [`Node::addr`].
    pub fn port(&self) -> u16 {
        port_of(&self.addr())
    }

    /// A new connection to the node's own role.
    pub fn wire(&self) -> Wire {
        Wire::connect(self.addr())
    }

    /// A new connection to one of the roles in this process.
    pub fn wire_to(&self, role: &str) -> Wire {
        Wire::connect(self.addr_of(role, "resp"))
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// The directory that holds what the node keeps.
    pub fn dir(&self) -> &Path {
        &self.spec.dir
    }

    /// True while the process has not ended (a zombie has).
    pub fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The state letter follows the command name, which may itself hold spaces and brackets.
        stat.is_ok_and(|s| s.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
    }

    /// Processes whose parent is this one (a relay's sibling).
    pub fn children(&self) -> Vec<Pid> {
        let path = format!("/proc/{0}/task", self.child.id());
        let tasks = std::fs::read_dir(path).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let ids: Vec<i32> = lists
            .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
            .collect();
        ids.into_iter().filter_map(Pid::from_raw).collect()
    }

    /// SIGKILL to this process alone, and its end awaited.
    pub fn kill(&mut self) {
        // It may have ended already, which is what the caller wants.
        let _ = kill_process(self.pid(), Signal::KILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM, and the exit status awaited.
    pub fn terminate(&mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).expect("the process is there to be told");
        self.wait_exit()
    }

    /// Waits until the process ends by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let ended = wait::until_within(wait::PATIENCE, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("still running".to_owned()),
            Err(e) => Err(e.to_string()),
        });
        ended.unwrap_or_else(|last| panic!("the process did not end: {last}\n{}", self.story()))
    }

    /// Starts the same process again (same directory, same flags) and waits until it is ready.
    pub fn restart(&mut self) {
        (self.child, self.stdout) = launch(&self.spec);
        self.wait_ready();
    }

    /// As [`Node::restart`], with everything that it kept thrown away first.
    pub fn restart_empty(&mut self) {
        remove_sections(&self.spec.dir);
        std::fs::remove_dir_all(&self.spec.dir).expect("the node's directory can be removed");
        std::fs::create_dir_all(&self.spec.dir).expect("the node's directory can be made");
        self.restart();
    }

    /// Everything the process wrote, for a failing test.
    pub fn story(&self) -> String {
        let log = std::fs::read(log_path(&self.spec)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        format!(
            "---- gs-server {:?} --dir {}\nstdout:\n{}\nstderr (last lines):\n{tail}\n----",
            self.spec.args,
            self.spec.dir.display(),
            self.lines().join("\n")
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        // The group holds the relay's child too; a node must leave nothing behind.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
        remove_sections(&self.spec.dir);
    }
}

/// Waits until a relay answers nil for a key that nobody has: between the moment a relief joins and the
/// moment it has said what it holds, unknown is not absent, and the answer is `-UNAVAILABLE`.
pub fn knows_what_is_absent(relay: &str) {
    let mut wire = Wire::connect(relay);
    wait::until("the relay knows what is absent", || match wire.call(&["GET", "gs-tests:nobody"]) {
        Value::Null => Ok(()),
        reply if reply.is_error("UNAVAILABLE") => Err(reply.flat()),
        other => panic!("a key that nobody wrote answers {other:?}"),
    });
}

/// Unlinks the shared-memory files that a directory's `*.cur` files name.
pub fn remove_sections(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            remove_sections(&path);
        } else if path.extension().is_some_and(|e| e == "cur")
            && let Ok(name) = std::fs::read_to_string(&path)
        {
            let name = name.trim().trim_start_matches('/');
            if name.starts_with("gs-") && !name.contains('/') {
                // A node that was never ready may have named a section that it did not make.
                let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
            }
        }
    }
}

/// The port at the end of `host:port`.
pub fn port_of(addr: &str) -> u16 {
    addr.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("no port in {addr:?}"))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a child has a positive pid")
}

fn log_path(spec: &Spec) -> PathBuf {
    // Beside the directory, not in it: the directory is the product's. By role, because a sibling may
    // share its relay's.
    spec.dir.with_extension(format!("{}.stderr", spec.ready[0]))
}

fn launch(spec: &Spec) -> (Child, Arc<Mutex<Vec<String>>>) {
    let log = File::options().create(true).append(true).open(log_path(spec)).expect("a log file can be made");
    // The kernel ends the process with the test thread that started it, so that a test run that is killed
    // leaves nothing behind.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(bins::gs_server());
    command.args(&spec.args).arg("--dir").arg(&spec.dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = command.spawn().expect("gs-server can be started");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    // Ends when the last holder of the pipe does: the process or its child.
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            kept.lock().expect("no reader panics").push(line);
        }
    });
    (child, lines)
}
