//! The sibling as a child process of its relay.
//!
//! The child's standard input is a pipe that nothing is written to: its end tells the child that the relay is
//! gone, however that died. A child that ends is started again on the same port, sooner or later by how long it
//! had lived.

use crate::core::node::Node;
use gs_conf::Config;
use std::ffi::OsString;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Pauses before starting again: doubling from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A child that lived this long starts the pauses over.
const SETTLED_MS: u64 = 10_000;
/// How long a child may take to end after its input did; more than it takes to drain.
const END: Duration = Duration::from_secs(7);
/// Keys that are the child's own and not inherited.
const OWN: &[&str] = &[
    "role",
    "name",
    "port",
    "sibling_port",
    "expansion_port",
    "aging_port",
    "sibling",
    "relay",
    "sibling_mode",
    "http_port",
    "announce",
    "dir",
    "tls.port",
];

/// How a sibling is started.
#[derive(Debug)]
pub struct Spec {
    args: Vec<OsString>,
    /// Settings go by the environment: unlike arguments, other users cannot read it.
    env: Vec<(String, String)>,
}

impl Spec {
    /// A sibling with these settings (its own part of the relay's configuration), of the relay at `relay`.
    pub fn of(part: &Config, relay: &str) -> Spec {
        let http = match part.http_port {
            gs_conf::PortChoice::Off => "off".to_owned(),
            gs_conf::PortChoice::Auto => "auto".to_owned(),
            gs_conf::PortChoice::At(port) => port.to_string(),
        };
        let tls = part.tls_port().map_or("off".to_owned(), |port| port.to_string());
        let mut args: Vec<OsString> = Vec::new();
        for (flag, value) in [
            ("--role", "sibling"),
            ("--port", &part.port.to_string()),
            ("--relay", relay),
            ("--dir", &part.dir),
            ("--http-port", &http),
            ("--set", &format!("tls.port={tls}")),
            ("--set", &format!("announce={}", part.announce)),
            ("--set", &format!("name={}", part.name)),
        ] {
            args.extend([flag.into(), value.into()]);
        }
        args.push("--child".into());
        Spec { args, env: environment(part) }
    }

    fn start(&self) -> std::io::Result<Child> {
        // The program that runs, also when its file was replaced meanwhile: a relay and its sibling share a
        // section and must be of one build.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("gs-server");
        for (name, _) in gs_conf::Inputs::process_env() {
            // What the relay was told by its environment is in its configuration already.
            command.env_remove(name);
        }
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).kill_on_drop(true).spawn()
    }
}

fn environment(part: &Config) -> Vec<(String, String)> {
    let shown = gs_conf::render::config_all(part);
    let mut env = Vec::new();
    for row in gs_conf::rows().filter(|row| !OWN.contains(&row.name) && !row.secret) {
        let name = row.name;
        let names = match name.split_once('*') {
            None => vec![name.to_owned()],
            Some((before, after)) => {
                part.paths.iter().map(|path| format!("{before}{}{after}", path.name)).collect()
            }
        };
        for name in names {
            if let Ok(at) = shown.binary_search_by(|(known, _)| known.as_str().cmp(&name)) {
                env.push((variable(&name), shown[at].1.clone()));
            }
        }
    }
    env.push((variable("requirepass"), part.requirepass.clone()));
    env.push((variable("link.password"), part.link.password.clone()));
    env
}

fn variable(name: &str) -> String {
    format!("{}__{}", gs_conf::ENV_PREFIX, name.replace('.', "__").to_uppercase())
}

/// Keeps a sibling running until the node stops; then ends it and waits for its end.
pub async fn supervise(node: Arc<Node>, spec: Spec) {
    let mut stopping = node.stopping();
    let mut pause = PAUSE.0;
    while !*stopping.borrow() {
        let started = node.now_ms();
        match spec.start() {
            Err(error) => tracing::error!(%error, "the sibling cannot be started"),
            Ok(mut child) => {
                // Held here: waiting for a child closes what is left in its handle.
                let lifeline = child.stdin.take();
                let ended = tokio::select! {
                    status = child.wait() => Some(status),
                    _ = stopping.wait_for(|stop| *stop) => None,
                };
                match ended {
                    None => {
                        drop(lifeline);
                        return end(child).await;
                    }
                    Some(Ok(status)) => tracing::warn!(%status, "the sibling ended; it is started again"),
                    Some(Err(error)) => tracing::error!(%error, "the sibling cannot be waited for"),
                }
            }
        }
        if node.now_ms().saturating_sub(started) >= SETTLED_MS {
            pause = PAUSE.0;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Waits for the end of a child that was told to end.
async fn end(mut child: Child) {
    if tokio::time::timeout(END, child.wait()).await.is_err() {
        tracing::warn!("the sibling did not end in time and is killed");
        if let Err(error) = child.kill().await {
            tracing::error!(%error, "the sibling cannot be killed");
        }
    }
}

/// In the child: resolves when the relay is gone.
pub async fn orphaned() {
    let (gone, told) = tokio::sync::oneshot::channel::<()>();
    let watcher = std::thread::Builder::new().name("gs-parent".into()).spawn(move || {
        let mut bytes = [0; 64];
        // Whatever comes is not meant for anybody; an error is as good as an end.
        while matches!(std::io::stdin().read(&mut bytes), Ok(n) if n > 0) {}
        drop(gone);
    });
    match watcher {
        Ok(_) => drop(told.await),
        Err(error) => {
            tracing::error!(%error, "the relay's end cannot be watched for");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The child must be configured as its relay is, or it would refuse what the relay accepts; and no secret may
    /// stand in its arguments, which everybody on the machine can read.
    #[test]
    fn the_child_inherits_the_settings_and_hides_the_secrets() {
        let said = [
            ("role", "relay"),
            ("port", "7001"),
            ("sibling_port", "7002"),
            ("requirepass", "s3cret"),
            ("aging.aged_after_ms", "1234"),
            ("paths.web.prefix", "web:"),
            ("limits.maxclients", "77"),
        ];
        let flags = said.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let config = gs_conf::load(&gs_conf::Inputs { flags, ..Default::default() }).unwrap().config;
        let part = config.part(gs_conf::Role::Sibling);
        let spec = Spec::of(&part, "127.0.0.1:7001");
        assert!(!spec.args.iter().any(|arg| arg.to_string_lossy().contains("s3cret")));
        let flags = [("role", "sibling"), ("port", "7002"), ("relay", "127.0.0.1:7001")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        let child = gs_conf::load(&gs_conf::Inputs { file: None, env: spec.env, flags }).unwrap().config;
        assert_eq!((child.port, child.requirepass.as_str()), (7002, "s3cret"));
        assert_eq!((&child.aging, &child.paths), (&part.aging, &part.paths));
        assert_eq!((&child.limits, &child.section, &child.link), (&part.limits, &part.section, &part.link));
    }
}
