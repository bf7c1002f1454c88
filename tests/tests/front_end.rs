//! Two front-end machines of two processes each, in front of one family of separate processes. A
//! session set in one process is read by its neighbour out of shared memory, reaches the other machine,
//! and when it is destroyed it is gone in all of them, whoever died meanwhile.

use gs_tests::cluster::{Cluster, Plan};
use gs_tests::front::{Machine, Process};
use gs_tests::proxy::{Faults, Proxy};
use gs_tests::wait;
use gs_tests::wire::Value;
use rustix::process::{Signal, kill_process};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_gs-test-front-end");

/// How long a machine may answer without hearing from its relay (the default lease).
const LEASE: Duration = Duration::from_secs(1);

/// The product promises a delete everywhere within this, on machines that are not starved; so these
/// stories run one after the other, and it is judged by the middle one of many rounds.
const GONE_WITHIN: Duration = Duration::from_millis(100);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    // A story that failed leaves nothing behind that could spoil the next one.
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Everything of one story. Processes end before their machines, machines before the family.
struct Stage {
    a: [Process; 2],
    b: [Process; 2],
    machines: [Machine; 2],
    cluster: Cluster,
    _alone: MutexGuard<'static, ()>,
}

/// A stage whose leases no pause of the machine ends.
fn stage() -> Stage {
    stage_with(Duration::from_secs(30))
}

fn stage_with(lease: Duration) -> Stage {
    let alone = alone();
    let plan = Plan::relay("16mb").set("lease_ms", lease.as_millis());
    let cluster = plan.expansion("16mb").aging("16mb").start();
    let machine = |name: &str| {
        Machine::new(&cluster.root.path().join(name), &cluster.relay.addr(), PROGRAM).lease(lease)
    };
    let machines = [machine("a"), machine("b")];
    let pair = |m: &Machine| [m.create().ready(), m.attach().ready()];
    let (a, b) = (pair(&machines[0]), pair(&machines[1]));
    Stage { a, b, machines, cluster, _alone: alone }
}

fn gets_at_relay(cluster: &Cluster) -> f64 {
    cluster.metrics().sum(|name, labels| name.contains("command") && labels.contains("\"gs.get\""))
}

#[test]
fn a_neighbour_reads_through_shared_memory_without_a_network_call() {
    let Stage { mut a, mut b, cluster, machines: _machines, _alone } = stage();
    a[0].ask("set s:1 hello 60000").parse::<u64>().expect("a set answers its version");
    assert_eq!(a[1].ask("local s:1"), "local hello", "the neighbour reads it out of the section");
    for _ in 0..1_000 {
        assert_eq!(a[1].ask("get s:1"), "local hello");
    }
    assert_eq!(a[1].stat("asked"), 0, "the neighbour asked the relay");

    // The relay agrees: pings that we count ourselves are published, a GS.GET never was.
    let before =
        cluster.metrics().sum(|name, labels| name.contains("command") && labels.contains("\"ping\""));
    cluster.wire().call(&["PING"]);
    wait::until_true("the relay publishes its figures", || {
        cluster.metrics().sum(|name, labels| name.contains("command") && labels.contains("\"ping\"")) > before
    });
    assert_eq!(gets_at_relay(&cluster), 0.0, "somebody asked the relay for a session");

    // The other machine gets it pushed, or fetches it; afterwards it is local there too.
    let there = b[0].ask("get s:1");
    assert!(there == "local hello" || there == "relay hello", "{there}");
    wait::until("its neighbour has it too", || match b[1].ask("local s:1").as_str() {
        "local hello" => Ok(()),
        other => Err(other.to_owned()),
    });
    // What redis-cli sees is the same session.
    assert_eq!(cluster.wire().call(&["GET", "s:1"]), Value::bulk("hello"));
}

#[test]
fn a_delete_is_gone_in_every_process_within_100_ms() {
    let Stage { mut a, mut b, cluster, machines: _machines, _alone } = stage();
    let mut took = Vec::new();
    for round in 0..20 {
        let key = format!("s:{round}");
        a[0].ask(&format!("set {key} hello 60000")).parse::<u64>().expect("a set answers its version");
        for process in a.iter_mut().chain(&mut b) {
            wait::until("every process can read it", || match process.ask(&format!("get {key}")) {
                got if got.ends_with(" hello") => Ok(()),
                other => Err(other),
            });
        }
        // By a process of the other machine, by a process of this one, by redis-cli.
        match round % 3 {
            0 => assert_eq!(b[1].ask(&format!("delete {key}")), "true"),
            1 => assert_eq!(a[0].ask(&format!("delete {key}")), "true"),
            _ => assert_eq!(cluster.wire().call(&["DEL", &key]), Value::Int(1)),
        }
        let began = Instant::now();
        for process in a.iter_mut().chain(&mut b) {
            wait::until("it is gone", || match process.ask(&format!("get {key}")).as_str() {
                "none" => Ok(()),
                old => Err(old.to_owned()),
            });
        }
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[10] < GONE_WITHIN, "until it was gone in all four processes: {took:?}");
}

#[test]
fn a_delete_everywhere_returns_when_it_is_gone_everywhere() {
    let Stage { mut a, mut b, cluster: _cluster, machines: _machines, _alone } = stage();
    for round in 0..20 {
        a[0].ask(&format!("set s:{round} hello 60000")).parse::<u64>().expect("a set answers its version");
        assert!(b[0].ask(&format!("get s:{round}")).ends_with(" hello"));
        assert_eq!(a[1].ask(&format!("delete-everywhere s:{round}")), "true");
        for process in a.iter_mut().chain(&mut b) {
            assert_eq!(process.ask(&format!("get s:{round}")), "none", "round {round}");
        }
    }
}

#[test]
fn the_library_does_what_its_calls_say() {
    let Stage { mut a, mut b, cluster, machines: _machines, _alone } = stage();
    let version: u64 = a[0].ask("set s:1 one 60000").parse().expect("a version");
    let next: u64 = b[0].ask(&format!("set-if s:1 two {version}")).parse().expect("a version");
    assert!(next > version);
    assert_eq!(a[0].ask(&format!("set-if s:1 late {version}")), "refused");
    wait::until_true("the first machine sees it", || a[0].ask("get s:1").ends_with(" two"));
    assert_eq!(a[0].ask("touch s:1 90000"), "true");
    assert_eq!(a[0].ask("touch nope 90000"), "false");
    assert_eq!(b[1].ask("delete s:1"), "true");
    assert_eq!(b[1].ask("delete s:1"), "false");
    assert_eq!(
        a[0].ask(&format!("set-if s:1 resurrected {next}")),
        "refused",
        "a save of a destroyed session"
    );
    assert_eq!(cluster.wire().call(&["GET", "s:1"]), Value::Null);

    a[0].ask("hash-set h secret").parse::<u64>().expect("a version");
    assert_eq!(b[0].ask("check-hash h secret"), "Some(true)");
    assert_eq!(b[0].ask("check-hash h Secret"), "Some(false)");
    assert_eq!(b[0].ask("check-hash nope secret"), "None");
    assert_eq!(b[0].ask("get nope"), "none");
}

#[test]
fn another_process_becomes_agent_when_the_agent_dies() {
    let Stage { mut a, mut b, cluster: _cluster, machines, _alone } = stage_with(LEASE);
    a[1].ask("set s:1 hello 60000");
    let agent = usize::from(a[0].stat("terms") == 0);
    assert!(a[agent].stat("terms") > 0, "nobody is agent");
    let [one, two] = a;
    let (mut dead, mut left) = if agent == 0 { (one, two) } else { (two, one) };
    dead.kill();
    wait::until_true("the other takes over", || left.stat("terms") > 0);
    wait::until("it answers locally again", || {
        match left.ask("local s:1").as_str() {
            "local hello" => Ok(()),
            // A take-over may have emptied the section; a read brings it back.
            other => Err(format!("{other}, {}", left.ask("get s:1"))),
        }
    });
    // What is destroyed elsewhere still reaches this machine, and a new process joins it.
    assert_eq!(b[0].ask("delete s:1"), "true");
    wait::until_true("the delete arrives", || left.ask("get s:1") == "none");
    let mut fresh = machines[0].attach().ready();
    wait::until("what is set in one is local in the other", || {
        left.ask("set s:2 again 60000");
        match fresh.ask("local s:2").as_str() {
            "local again" => Ok(()),
            // A lease may lapse while the machine pauses.
            other => Err(other.to_owned()),
        }
    });
}

/// A login and its logout are still on their way to this machine when one of its processes asks and hears that there is no
/// such session. The login arrives first, and nobody here may see it.
#[test]
fn what_was_seen_to_be_gone_stays_gone_though_the_stream_is_behind() {
    const BETWEEN: usize = 4_000;
    let Stage { a, b: _b, cluster, machines: _machines, _alone } = stage();
    let [mut one, two] = a;
    let first = one.stat("terms") > 0;
    let (agent, mut other) = if first { (one, two) } else { (two, one) };
    kill_process(agent.pid(), Signal::STOP).expect("a process can be stopped");
    wait::until_true("it stands still", || stands_still(&agent));
    let mut wire = cluster.wire();
    let set = |key: String| ["SET".to_owned(), key, "theirs".to_owned(), "EX".into(), "600".into()];
    wire.call(&set("user".into()));
    wire.pipeline(&(0..BETWEEN).map(|n| set(format!("between:{n}")).to_vec()).collect::<Vec<_>>());
    assert_eq!(wire.call(&["DEL", "user"]), Value::Int(1));
    wire.call(&set("last".into()));
    assert_eq!(other.ask("get user"), "none");
    kill_process(agent.pid(), Signal::CONT).expect("a process can go on");
    wait::until("the stream has arrived", || {
        assert_eq!(other.ask("local user"), "none", "it was seen to be gone");
        match other.ask("local last").as_str() {
            "local theirs" => Ok(()),
            not_yet => Err(not_yet.to_owned()),
        }
    });
}

fn stands_still(process: &Process) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid().as_raw_pid()));
    stat.expect("a child can be looked at").rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[test]
fn a_process_killed_in_a_loop_of_writes_stalls_nobody() {
    let Stage { a: [mut a0, mut a1], mut b, cluster, machines, _alone } = stage();
    for _ in 0..20 {
        let mut doomed = machines[0].attach().ready();
        doomed.tell("storm k 50");
        // Both neighbours work on the same keys; the storm is killed in the middle of it.
        a0.tell("work k 50 2000");
        a1.tell("work k 50 2000");
        let mut probe = cluster.wire();
        wait::until_true("the storm writes", || probe.call(&["DBSIZE"]).int() > 0);
        doomed.kill();
        for neighbour in [&mut a0, &mut a1] {
            let said = neighbour.hear();
            let longest: u64 = said.parse().unwrap_or_else(|_| panic!("the neighbour's work failed: {said}"));
            // Whoever waited for the dead one would wait until something gives it up, or for ever.
            assert!(longest < 10_000, "one operation of a neighbour took {longest} ms");
        }
    }
    // The section is whole: what is written now is read by all.
    a0.ask("set after hello 60000").parse::<u64>().expect("a version");
    assert_eq!(a1.ask("local after"), "local hello");
    wait::until_true("and on the other machine", || b[0].ask("get after").ends_with(" hello"));
}

#[test]
fn a_machine_that_is_cut_off_answers_no_longer_than_its_lease() {
    let _alone = alone();
    let cluster = Plan::relay("16mb").start();
    let proxy = Proxy::start(&cluster.relay.addr(), 3, Faults::default());
    let machine = Machine::new(&cluster.root.path().join("cut"), proxy.addr(), PROGRAM);
    let mut process = machine.create().ready();
    process.ask("set s:1 hello 600000").parse::<u64>().expect("a version");
    wait::until_true("it is local", || process.ask("get s:1") == "local hello");

    proxy.faults(Faults { blackhole: true, ..Faults::default() });
    assert_eq!(cluster.wire().call(&["DEL", "s:1"]), Value::Int(1));
    let deleted = Instant::now();
    wait::until("it stops answering", || {
        let asked = deleted.elapsed();
        match process.ask("local s:1").as_str() {
            "none" => Ok(()),
            old => {
                assert!(asked <= LEASE, "{asked:?} after the delete it still answers {old}");
                Err(old.to_owned())
            }
        }
    });
    let cut = process.ask("get s:1");
    assert!(cut.starts_with("error unavailable"), "cut off, unknown is not absent: {cut}");
    proxy.faults(Faults::default());
    wait::until("it hears of the delete", || match process.ask("get s:1").as_str() {
        "none" => Ok(()),
        error if error.starts_with("error") => Err(error.to_owned()),
        old => panic!("{old} came back after the partition"),
    });
}

#[test]
fn a_stopped_machine_that_thaws_does_not_answer_what_was_destroyed_meanwhile() {
    let Stage { mut a, mut b, cluster: _cluster, machines: _machines, _alone } = stage_with(LEASE);
    b[0].ask("set s:1 hello 600000").parse::<u64>().expect("a version");
    for process in &mut a {
        wait::until_true("it is local", || process.ask("get s:1").starts_with("local"));
    }
    a.iter().for_each(|p| kill_process(p.pid(), Signal::STOP).expect("a process can be stopped"));
    // Returns only when the stopped machine's lease has lapsed: it cannot acknowledge.
    assert_eq!(b[0].ask("delete-everywhere s:1"), "true");
    a.iter_mut().for_each(|p| p.tell("local s:1"));
    a.iter().for_each(|p| kill_process(p.pid(), Signal::CONT).expect("a process can go on"));
    for process in &mut a {
        assert_eq!(process.hear(), "none", "it answered out of a lease that had lapsed");
        wait::until("it knows", || match process.ask("get s:1").as_str() {
            "none" => Ok(()),
            error if error.starts_with("error") => Err(error.to_owned()),
            old => panic!("{old} came back"),
        });
    }
}

#[test]
fn the_demo_sets_gets_and_measures() {
    let _alone = alone();
    let cluster = Plan::relay("16mb").start();
    let dir = cluster.root.path().join("demo");
    let demo = |words: &[&str]| {
        let mut command = std::process::Command::new(gs_tests::bins::front_end());
        command.args(["--section", "demo", "--relay", &cluster.relay.addr(), "--dir"]).arg(&dir).args(words);
        let output = command.stdin(std::process::Stdio::null()).output().expect("the demo can be run");
        assert!(output.status.success(), "{words:?}: {}", gs_tests::peers::shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(demo(&["set", "sess:1", "alice", "--ttl", "600"]).starts_with("OK version="));
    // Another process finds it in the section that the first one made.
    assert!(demo(&["--attach", "get", "sess:1"]).starts_with("VALUE alice "));
    let said = demo(&["--attach", "bench", "100"]);
    assert!(said.contains("ns_per_get=") && !said.contains("hit_ratio=0.0"), "{said}");
    assert!(demo(&["--attach", "delete", "sess:1"]).starts_with("OK 1"));
    assert!(demo(&["get", "sess:1"]).starts_with("NIL"));
    gs_tests::node::remove_sections(&dir);
}
