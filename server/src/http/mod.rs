//! `/metrics`, `/healthz` and `/readyz`, for Prometheus and for whoever starts and stops nodes.

use crate::core::node::Node;
use crate::metrics::sorted;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

/// What the pages tell of.
#[derive(Clone)]
pub struct Pages {
    /// The nodes of this process.
    pub nodes: Arc<[Arc<Node>]>,
    /// What renders the published numbers.
    pub metrics: PrometheusHandle,
    /// True where a relay's sibling is expected to say where it is before the relay counts as ready.
    pub awaits_sibling: bool,
}

/// Serves the pages until the first node stops.
pub async fn serve(listener: TcpListener, pages: Pages) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopping = pages.nodes.first().map(|node| node.stopping());
    let stopped = async move {
        match stopping {
            // A closed channel means that the node is gone.
            Some(mut stop) => drop(stop.wait_for(|stop| *stop).await),
            None => std::future::pending().await,
        }
    };
    axum::serve(listener, router(pages)).with_graceful_shutdown(stopped).await
}

/// The pages.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(pages)
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, sorted(&pages.metrics.render()))
}

async fn readiness(State(pages): State<Pages>) -> impl IntoResponse {
    let mut all = true;
    let mut words = String::new();
    for node in pages.nodes.iter() {
        let (ready, why) = state(node, pages.awaits_sibling);
        all &= ready;
        let word = if ready { "ready" } else { "not ready" };
        // Writing to a String cannot fail.
        let _ =
            writeln!(words, "{}: {word}{}{why}", node.role.word(), if why.is_empty() { "" } else { ": " });
    }
    (if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, words)
}

/// Whether a node may be sent clients, and what should be known of it.
fn state(node: &Node, awaits_sibling: bool) -> (bool, String) {
    if !node.is_ready() {
        return (false, "it starts or stops".into());
    }
    let Some(relay) = node.relay() else {
        // A relief that lost its sibling still answers for what it holds, and the sibling comes back to it: taking
        // it out of service would only make its sessions unreachable.
        let lost = node.relief().is_some_and(|relief| !relief.is_joined());
        return (
            true,
            if lost { "no sibling: it serves reads of what it holds".into() } else { String::new() },
        );
    };
    let mut notes: Vec<String> = node.trouble().into_iter().collect();
    let known = relay.downstream();
    match &known {
        // Until it is known where demoted sessions are asked for, this node cannot say that it does not have one.
        None if awaits_sibling => return (false, "the sibling has not said where it is".into()),
        None => notes.push("no sibling".into()),
        Some(link) if !link.is_up() => notes.push("the sibling cannot be reached".into()),
        Some(_) => {}
    }
    (true, notes.join("; "))
}
