//! Plain HTTP/1.1 GETs and Prometheus text, with nothing but a socket.

use crate::wait;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Fetches a path; returns the status code and the body.
pub fn get(addr: &str, path: &str) -> (u16, String) {
    try_get(addr, path).unwrap_or_else(|e| panic!("GET http://{addr}{path}: {e}"))
}

/// As [`get`], or says why not.
pub fn try_get(addr: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let bad = || std::io::Error::other(format!("not an HTTP reply: {reply:?}"));
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunk(body) } else { body.to_owned() }))
}

fn unchunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let Some((chunk, rest)) = rest.split_at_checked(size) else {
            break;
        };
        out.push_str(chunk);
        body = rest.strip_prefix("\r\n").unwrap_or(rest);
        if size == 0 {
            break;
        }
    }
    out
}

/// One line of Prometheus text: name, labels as written, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// What stands between the braces.
    pub labels: String,
    /// The number.
    pub value: f64,
}

/// What `/metrics` said.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Every sample, in order.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Fetches and parses; panics on a line that is not Prometheus text.
    pub fn of(addr: &str) -> Metrics {
        let (status, body) = get(addr, "/metrics");
        assert_eq!(status, 200, "/metrics at {addr}");
        Metrics::parse(&body)
    }

    /// Parses Prometheus text.
    pub fn parse(body: &str) -> Metrics {
        let lines = body.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = match series.split_once('{') {
                Some((name, rest)) => (name, rest.strip_suffix('}')?),
                None => (series, ""),
            };
            Some(Sample { name: name.into(), labels: labels.into(), value: value.parse().ok()? })
        };
        let parse = |line| sample(line).unwrap_or_else(|| panic!("not a Prometheus sample: {line:?}"));
        Metrics { samples: lines.map(parse).collect() }
    }

    /// Adds another process's samples.
    pub fn add(&mut self, other: Metrics) {
        self.samples.extend(other.samples);
    }

    /// The sum of the samples that `wanted` picks by name and labels.
    pub fn sum(&self, wanted: impl Fn(&str, &str) -> bool) -> f64 {
        self.samples.iter().filter(|s| wanted(&s.name, &s.labels)).map(|s| s.value).sum()
    }

    /// The sum of everything that counts a loss: an object that was there and is not any more though
    /// nobody deleted it and its time had not come. Panics if there is no such series, because then
    /// a test that compares it with zero could not fail.
    pub fn losses(&self) -> f64 {
        let is_loss = |name: &str| name.contains("lost") || name.contains("loss");
        assert!(self.samples.iter().any(|s| is_loss(&s.name)), "no metric counts losses");
        self.sum(|name, _| is_loss(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_is_read_with_and_without_labels() {
        let text = "# TYPE a counter\na{role=\"relay\",x=\"y z\"} 3\nb 1.5\n\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.samples.len(), 2);
        assert_eq!(metrics.samples[0].labels, "role=\"relay\",x=\"y z\"");
        assert_eq!(metrics.sum(|name, _| name == "b"), 1.5);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunk("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
    }
}
