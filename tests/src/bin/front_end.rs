//! One process of a front-end machine, told what to do line by line: what a web server's worker does
//! with the library, made visible to a test. One line in, one line out.

use gs_client::blocking::Sessions;
use gs_client::sessions::{LruConfig, RelayConfig, Session};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, relay, manage, lease_ms] = args.as_slice() else {
        anyhow::bail!("usage: DIR HOST:PORT create|attach LEASE_MS")
    };
    let lru = LruConfig {
        dir: dir.into(),
        manage_section: manage == "create",
        capacity_bytes: 8 << 20,
        attach_wait: Duration::from_secs(60),
        ..LruConfig::default()
    };
    let relay = RelayConfig {
        relays: vec![relay.clone()],
        lease: Duration::from_millis(lease_ms.parse()?),
        // A relay that answers late is the machine's doing; one that cannot be reached is told at once.
        timeout: Duration::from_secs(5),
        ..RelayConfig::default()
    };
    let sessions = Sessions::open(lru, relay)?;
    println!("open");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = obey(&sessions, &words).unwrap_or_else(|error| format!("error {error}"));
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn obey(sessions: &Sessions, words: &[&str]) -> anyhow::Result<String> {
    let ttl = |ms: &str| -> anyhow::Result<Option<Duration>> { Ok(Some(Duration::from_millis(ms.parse()?))) };
    Ok(match words {
        ["ready"] => sessions.ready_within(Duration::from_secs(60))?.to_string(),
        ["local", key] => shown(sessions.get_local(key.as_bytes())),
        ["get", key] => shown(sessions.get(key.as_bytes())?),
        ["set", key, value, ms] => sessions.set(key.as_bytes(), value.as_bytes(), ttl(ms)?)?.to_string(),
        ["set-if", key, value, version] => {
            match sessions.set_if_version(key.as_bytes(), value.as_bytes(), None, version.parse()?)? {
                Some(version) => version.to_string(),
                None => "refused".into(),
            }
        }
        ["delete", key] => sessions.delete(key.as_bytes())?.to_string(),
        ["delete-everywhere", key] => sessions.delete_everywhere(key.as_bytes())?.to_string(),
        ["touch", key, ms] => sessions.touch(key.as_bytes(), Duration::from_millis(ms.parse()?))?.to_string(),
        ["hash-set", key, value] => sessions.hash_set(key.as_bytes(), value.as_bytes(), None)?.to_string(),
        ["check-hash", key, value] => format!("{:?}", sessions.check_hash(key.as_bytes(), value.as_bytes())?),
        ["stats"] => {
            let s = sessions.stats();
            format!(
                "hits={} asked={} terms={} leased={} records={}",
                s.hits, s.asked, s.terms, s.leased, s.records
            )
        }
        ["storm", prefix, keys] => storm(sessions, prefix, keys.parse()?),
        ["work", prefix, keys, operations] => work(sessions, prefix, keys.parse()?, operations.parse()?)?,
        other => anyhow::bail!("not understood: {other:?}"),
    })
}

fn shown(session: Option<Session>) -> String {
    match session {
        Some(s) => format!("{:?} {}", s.source, String::from_utf8_lossy(&s.value)).to_lowercase(),
        None => "none".into(),
    }
}

/// Writes and deletes for ever: the process that a test kills at any instruction.
fn storm(sessions: &Sessions, prefix: &str, keys: u64) -> ! {
    for n in 0.. {
        let key = format!("{prefix}:{}", n % keys);
        // What a storm is answered is of no interest; that it goes on is.
        let _ = sessions.set(key.as_bytes(), format!("storm-{n}").repeat(40).as_bytes(), None);
        if n % 5 == 0 {
            let _ = sessions.delete(key.as_bytes());
        }
    }
    unreachable!("u64 does not end")
}

/// Reads and writes the keys that a storm uses and says how long the longest single operation took.
fn work(sessions: &Sessions, prefix: &str, keys: u64, operations: u64) -> anyhow::Result<String> {
    let mut longest = Duration::ZERO;
    for n in 0..operations {
        let key = format!("{prefix}:{}", n % keys);
        let began = Instant::now();
        match n % 10 {
            0 => drop(sessions.set(key.as_bytes(), format!("work-{n}").as_bytes(), None)?),
            1 => drop(sessions.get(key.as_bytes())?),
            _ => drop(sessions.get_local(key.as_bytes())),
        }
        longest = longest.max(began.elapsed());
    }
    Ok(format!("{}", longest.as_millis()))
}
