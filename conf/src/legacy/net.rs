//! Listeners, links and the child, from the ancestors' fields.

use std::path::Path;

use serde_json::Value;

use super::out::{Out, number, text, truth};
use crate::words::Role;

pub(super) fn listen(net: &Value, out: &mut Out) {
    if let Some(port) = number(net, "port") {
        out.set("port", port);
    }
    match text(net, "address") {
        None => {}
        Some("localhost") => out.set("bind", "127.0.0.1"),
        Some(address) if address.is_empty() || address.contains(char::is_whitespace) => {
            out.note(format!("address: {address:?} is no address: listening on 127.0.0.1"));
        }
        Some(address) => out.set("bind", address),
    }
    let Some(tls) = net.get("tls").filter(|tls| tls.as_object().is_some_and(|fields| !fields.is_empty()))
    else {
        return;
    };
    // The ancestors' one port spoke TLS where keys were given; so does ours, and no plain one is opened.
    let default = if truth(net.get("half_edge")) == Some(true) { 7880 } else { 7878 };
    out.set("tls.port", number(net, "port").unwrap_or(default));
    for (field, key) in [("server_cert", "tls.cert"), ("server_key", "tls.key")] {
        if let Some(file) = text(tls, field) {
            out.set(key, file);
        }
    }
    if let Some(file) = text(tls, "client_cert") {
        out.set("tls.ca", file);
        out.set("tls.client_auth", "optional");
        out.note(
            "tls.client_cert: clients that present a certificate must be signed by it; none is fine too",
        );
    }
    dial_tls(net, out);
}

/// The ancestors' reliefs did not listen; ours do, for the sibling that puts and fetches. Where they had keys, that
/// link must not be in the clear either.
pub(super) fn listen_tls_of_relief(net: &Value, role: Role, out: &mut Out) {
    let Some(tls) = net.get("tls") else { return };
    let (Some(cert), Some(key)) = (text(tls, "server_cert"), text(tls, "server_key")) else {
        if tls.as_object().is_some_and(|fields| !fields.is_empty()) {
            out.note("tls: server_cert and server_key are not both given, so this relief's own port is in the clear");
        }
        return;
    };
    out.set("tls.port", if role == Role::ReliefExpansion { 7881 } else { 7882 });
    out.set("tls.cert", cert);
    out.set("tls.key", key);
}

/// TLS of links: the other side's certificate is what is trusted.
pub(super) fn dial_tls(net: &Value, out: &mut Out) {
    let Some(tls) = net.get("tls").filter(|tls| tls.as_object().is_some_and(|fields| !fields.is_empty()))
    else {
        return;
    };
    out.set("link.tls", true);
    if let Some(file) = text(tls, "server_cert") {
        out.set("link.ca", file);
    }
    match (text(tls, "client_cert"), text(tls, "client_key")) {
        (Some(cert), Some(key)) => {
            out.set("link.cert", cert);
            out.set("link.key", key);
        }
        (Some(_), None) => {
            out.note("tls.client_cert: a link cannot present it without client_key, so it presents none");
        }
        _ => {}
    }
}

/// `HOST:PORT` to dial.
pub(super) fn endpoint(net: &Value, default_port: u64, out: &mut Out) -> String {
    let port = number(net, "port").unwrap_or_else(|| {
        out.note(format!("port: not given; {default_port} it is"));
        default_port
    });
    let host = match text(net, "address") {
        None => "127.0.0.1",
        Some(host) if host.is_empty() || host.contains(char::is_whitespace) => {
            out.note(format!("address: {host:?} is no address: dialling 127.0.0.1"));
            "127.0.0.1"
        }
        Some(host) => host,
    };
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The sibling that the relay starts: ours, with the port of the ancestor's file where that can be read.
pub(super) fn child(top: &Value, directory: Option<&Path>, out: &mut Out) {
    out.set("sibling_mode", "child");
    let named = || {
        let at_paths = top.get("path_types").and_then(Value::as_object);
        let below = at_paths.into_iter().flat_map(|paths| paths.values()).find_map(|path| path.get("relay"));
        let process = below.or_else(|| top.get("relay"))?.get("proc_name")?;
        process.as_array()?.last()?.as_str()
    };
    let Some(file) = named() else { return };
    let port = directory
        .and_then(|directory| std::fs::read_to_string(directory.join(file)).ok())
        .and_then(|text| super::text::parse(&text).ok())
        .and_then(|(sibling, _)| number(&sibling, "port"));
    match port {
        Some(port) => {
            out.note(format!(
                "proc_name: the relay starts its sibling itself; of {file} the port {port} is used"
            ));
            out.set("sibling_port", port);
        }
        None => out.note(format!(
            "proc_name: the relay starts its sibling itself, on sibling_port; {file} was not read"
        )),
    }
}
