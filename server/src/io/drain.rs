//! The end of a process: on SIGTERM or SIGINT it stops accepting, finishes what it has read, and goes.

use crate::core::node::Node;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long connections may take to finish.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Waits until the process shall end: told by a signal, by a node that stopped by itself, or by `orphaned`.
pub async fn wait(nodes: &[Arc<Node>], orphaned: impl Future<Output = ()>) -> std::io::Result<&'static str> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopped = async {
        let mut watches: Vec<_> = nodes.iter().map(|node| node.stopping()).collect();
        let waits = watches.iter_mut().map(|watch| Box::pin(watch.wait_for(|stop| *stop)));
        first(waits.collect()).await;
    };
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        () = stopped => "a node stopped",
        () = orphaned => "the relay that started this process is gone",
    })
}

/// Resolves with the first of several futures, whatever its answer.
async fn first<F: Future + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|cx| {
        let done = futures.iter_mut().any(|f| std::pin::Pin::new(f).poll(cx).is_ready());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Tells the nodes to stop: no new connections, `/readyz` says no.
pub fn begin(nodes: &[Arc<Node>]) {
    for node in nodes {
        node.ready.store(false, Ordering::Release);
        node.links.quiet.store(true, Ordering::Relaxed);
        node.stop.send_replace(true);
    }
}

/// Waits until a node has no connections left, but not for ever.
pub async fn connections(node: &Node) {
    let drained = async {
        while node.clients.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(
            role = node.role.word(),
            left = node.clients.count(),
            "connections did not finish in time"
        );
    }
}
