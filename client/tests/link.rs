//! A link against a peer that misbehaves: what a node must survive of another.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gs_client::link::{Link, LinkConfig, LinkError};
use gs_client::tls;
use gs_resp::{Limits, Parsed, Parser, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

/// A peer with a few commands: ECHO, ERR, BIG n, SLEEP ms, LATER (answers when the next command comes), DIE, MUTE
/// (answers nothing any more), JUNK.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut parser, mut input) = (Parser::new(), Vec::new());
    let mut later: &[u8] = b"";
    loop {
        while let Ok(Parsed::Command { consumed }) = parser.advance(&input, &Limits::default()) {
            let args: Vec<Vec<u8>> = parser.args(&input).iter().map(<[u8]>::to_vec).collect();
            input.drain(..consumed);
            let number = || String::from_utf8_lossy(&args[1]).parse::<usize>().unwrap();
            let before = std::mem::take(&mut later);
            let answer = match &args[0][..] {
                b"ECHO" => bulk(&args[1]),
                b"AUTH" if args[1] == b"right" => b"+OK\r\n".to_vec(),
                b"AUTH" => b"-WRONGPASS no\r\n".to_vec(),
                b"BIG" => bulk(&vec![b'x'; number()]),
                b"SLEEP" => {
                    tokio::time::sleep(Duration::from_millis(number() as u64)).await;
                    b"+slept\r\n".to_vec()
                }
                b"LATER" => {
                    later = b"+late\r\n";
                    Vec::new()
                }
                b"DIE" => return,
                b"MUTE" => std::future::pending().await,
                b"JUNK" => b"?what\r\n".to_vec(),
                b"UNASKED" => b"+one\r\n+two\r\n".to_vec(),
                _ => b"-ERR unknown\r\n".to_vec(),
            };
            let out = [before, &answer].concat();
            if writer.write_all(&out).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        match reader.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

async fn peer() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(AtomicU64::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(socket));
        }
    });
    (addr, accepted)
}

/// Longer than any answer takes, on however slow a machine. It bounds a hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(addr: &str) -> LinkConfig {
    LinkConfig {
        connect_timeout: PATIENCE,
        call_timeout: PATIENCE,
        reconnect_min: Duration::from_millis(5),
        reconnect_max: Duration::from_millis(50),
        ..LinkConfig::new(addr)
    }
}

fn echoed(text: &str) -> Result<Reply, LinkError> {
    Ok(Reply::Bulk(text.as_bytes().to_vec().into()))
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(2 * PATIENCE, work).await.expect("done in time")
}

/// Replies have no names: if order were lost, one caller would get another's session.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_get_their_own_replies() {
    let (addr, accepted) = peer().await;
    let link = Link::open(config(&addr));
    let callers = (0..1000).map(|n| {
        let link = link.clone();
        tokio::spawn(async move {
            let text = format!("caller-{n}");
            assert_eq!(link.call(&[b"ECHO", text.as_bytes()]).await, echoed(&text));
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        within(caller).await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// A batch keeps together, and an error in the middle is that command's answer, not the batch's end.
#[tokio::test]
async fn a_batch_is_answered_in_order() {
    let (addr, _) = peer().await;
    let link = Link::open(config(&addr));
    let mut bytes = Vec::new();
    for args in [[b"ECHO".as_slice(), b"a"], [b"NOPE", b"b"], [b"ECHO", b"c"]] {
        gs_resp::encode_command(&mut bytes, &args);
    }
    let replies = within(link.call_encoded(bytes, 3)).await.unwrap();
    assert_eq!(replies[0], echoed("a").unwrap());
    assert!(replies[1].error().is_some());
    assert_eq!(replies[2], echoed("c").unwrap());
}

/// A link outlives its connections: what is asked next works, and what was under way is reported, not repeated.
#[tokio::test]
async fn it_reconnects_and_reports_what_was_lost() {
    let (addr, _) = peer().await;
    let link = Link::open(config(&addr));
    assert_eq!(within(link.call(&[b"ECHO", b"1"])).await, echoed("1"));
    assert_eq!(within(link.call(&[b"DIE"])).await, Err(LinkError::Lost));
    within(async {
        // The call may come while the break is not known yet; it then waits for the next connection.
        while link.call(&[b"ECHO", b"2"]).await != echoed("2") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(link.connections(), 2);
}

/// A peer that is away must not make its callers wait for it one by one.
#[tokio::test]
async fn calls_fail_fast_while_the_peer_is_away() {
    // Bound and not listening: refused, and nobody else's port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    let link = Link::open(LinkConfig { reconnect_max: Duration::from_secs(60), ..config(&addr) });
    assert_eq!(within(link.call(&[b"ECHO", b"x"])).await, Err(LinkError::Down));
    assert!(link.last_error().is_some() && !link.is_up());
    // And comes back by itself once the peer does.
    let listener = socket.listen(16).unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    within(link.up()).await.unwrap();
    assert_eq!(within(link.call(&[b"ECHO", b"x"])).await, echoed("x"));
}

/// One slow command costs its caller only; the replies that follow must not slip by one.
#[tokio::test]
async fn a_late_reply_does_not_shift_the_others() {
    let (addr, accepted) = peer().await;
    let link = Link::open(config(&addr));
    within(link.up()).await.unwrap();
    let limit = Duration::from_millis(20);
    assert_eq!(within(link.call_within(&[b"LATER"], limit)).await, Err(LinkError::Timeout));
    assert_eq!(within(link.call(&[b"ECHO", b"mine"])).await, echoed("mine"));
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "the connection was kept");
}

/// A peer that hangs with the connection open would otherwise be hung on for ever.
#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let (addr, accepted) = peer().await;
    let link = Link::open(LinkConfig { call_timeout: Duration::from_millis(400), ..config(&addr) });
    within(link.up()).await.unwrap();
    assert_eq!(within(link.call(&[b"MUTE"])).await, Err(LinkError::Timeout));
    within(async {
        while link.call(&[b"ECHO", b"x"]).await != echoed("x") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(accepted.load(Ordering::SeqCst) >= 2, "the silent connection was not kept");
}

/// A reply over the limit must not be gathered in memory, and the connection's place in the stream is lost.
#[tokio::test]
async fn an_oversize_reply_breaks_the_connection_only() {
    let (addr, _) = peer().await;
    let link = Link::open(LinkConfig { reply_bytes_max: 100_000, ..config(&addr) });
    let fits = within(link.call(&[b"BIG", b"90000"])).await.unwrap();
    assert_eq!(fits.as_bytes().unwrap().len(), 90_000);
    assert_eq!(within(link.call(&[b"BIG", b"200000"])).await, Err(LinkError::Lost));
    within(link.up()).await.unwrap();
    assert_eq!(within(link.call(&[b"ECHO", b"x"])).await, echoed("x"));
}

/// Bytes that are no reply, and replies nobody asked for, end the connection and nothing else.
#[tokio::test]
async fn junk_breaks_the_connection_only() {
    let (addr, _) = peer().await;
    let link = Link::open(config(&addr));
    assert_eq!(within(link.call(&[b"JUNK"])).await, Err(LinkError::Lost));
    within(link.up()).await.unwrap();
    assert_eq!(within(link.call(&[b"UNASKED"])).await, Ok(Reply::Simple("one".into())));
    within(async {
        while link.connections() < 3 {
            let _ = link.call(&[b"ECHO", b"x"]).await;
        }
    })
    .await;
}

/// The queue is memory: a peer that is slow must push back on its callers.
#[tokio::test]
async fn too_many_calls_are_refused() {
    let (addr, _) = peer().await;
    let link = Link::open(LinkConfig { pending_max: 2, ..config(&addr) });
    within(link.up()).await.unwrap();
    let mut sleep = Vec::new();
    gs_resp::encode_command(&mut sleep, &[b"SLEEP", b"50"]);
    let (one, two) =
        (link.start(sleep.clone(), 1, PATIENCE).unwrap(), link.start(sleep, 1, PATIENCE).unwrap());
    assert_eq!(link.call(&[b"ECHO", b"x"]).await, Err(LinkError::Overflow));
    within(one).await.unwrap();
    within(two).await.unwrap();
    assert_eq!(within(link.call(&[b"ECHO", b"x"])).await, echoed("x"));
}

/// A wrong password must never let a call through before the peer has agreed.
#[tokio::test]
async fn the_hello_comes_first_and_must_succeed() {
    let (addr, _) = peer().await;
    let right = LinkConfig {
        password: Some("right".into()),
        hello: vec![vec![b"ECHO".to_vec(), b"me".to_vec()]],
        ..config(&addr)
    };
    let link = Link::open(right.clone());
    assert_eq!(within(link.call(&[b"ECHO", b"x"])).await, echoed("x"));
    let wrong = Link::open(LinkConfig { password: Some("wrong".into()), ..right });
    assert_eq!(within(wrong.call(&[b"ECHO", b"x"])).await, Err(LinkError::Down));
    assert!(wrong.last_error().unwrap().contains("WRONGPASS"));
    assert!(!format!("{wrong:?}").contains("wrong\""));
}

/// Closing answers everybody who waits; the last handle's end is the task's end, which the peer sees.
#[tokio::test]
async fn closing_ends_all_calls_and_dropping_ends_the_connection() {
    let (addr, _) = peer().await;
    let link = Link::open(config(&addr));
    within(link.up()).await.unwrap();
    let calling = tokio::spawn({
        let link = link.clone();
        async move { link.call(&[b"MUTE"]).await }
    });
    while link.pending() == 0 {
        tokio::task::yield_now().await;
    }
    link.close();
    assert_eq!(within(calling).await.unwrap(), Err(LinkError::Closed));
    assert_eq!(link.call(&[b"ECHO", b"x"]).await, Err(LinkError::Closed));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = Link::open(config(&listener.local_addr().unwrap().to_string()));
    let (mut socket, _) = within(listener.accept()).await.unwrap();
    within(link.up()).await.unwrap();
    drop(link);
    assert_eq!(within(socket.read(&mut [0u8; 1])).await.unwrap(), 0);
}

/// Both ends' buffers full at once: if either only wrote or only read, they would wait for each other for ever.
#[tokio::test(flavor = "multi_thread")]
async fn large_calls_and_large_replies_at_once_do_not_deadlock() {
    let (addr, _) = peer().await;
    let link = Link::open(config(&addr));
    let text = "y".repeat(400 << 10);
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (link, text) = (link.clone(), text.clone());
            tokio::spawn(async move {
                link.call(&[b"ECHO", text.as_bytes()]).await.unwrap().as_bytes().unwrap().len()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(within(call).await.unwrap(), text.len());
    }
}

/// TLS with a CA of our own: the right name gets through, a wrong name and a missing client certificate do not.
#[tokio::test]
async fn tls_checks_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(path("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    for name in ["relay.test", "front.test"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(path(&format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let server = tls::server_config(
        &path("relay.test.pem"),
        &path("relay.test.key"),
        Some(&path("ca.pem")),
        tls::ClientAuth::Required,
    );
    let acceptor = tokio_rustls::TlsAcceptor::from(server.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    serve(stream).await;
                }
            });
        }
    });
    let with_cert =
        tls::client_config(&path("ca.pem"), Some(&path("front.test.pem")), Some(&path("front.test.key")))
            .unwrap();
    let without = tls::client_config(&path("ca.pem"), None, None).unwrap();
    let link = |client, name: &str| {
        // The hello makes a refusal of the client's certificate show while connecting: TLS 1.3 tells it late.
        let hello = vec![vec![b"ECHO".to_vec(), b"me".to_vec()]];
        Link::open(LinkConfig { tls: Some(client), server_name: Some(name.into()), hello, ..config(&addr) })
    };
    let good = link(with_cert.clone(), "relay.test");
    assert_eq!(within(good.call(&[b"ECHO", b"x"])).await, echoed("x"));
    assert_eq!(within(link(with_cert, "other.test").call(&[b"ECHO", b"x"])).await, Err(LinkError::Down));
    assert_eq!(within(link(without, "relay.test").call(&[b"ECHO", b"x"])).await, Err(LinkError::Down));
}
