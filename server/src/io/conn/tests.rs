//! Connections over a pipe in memory, from the client's side.

use super::*;
use crate::assemble::test_relay;
use crate::core::clients::Ends;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

struct Client {
    stream: DuplexStream,
    served: JoinHandle<()>,
    info: Arc<ClientInfo>,
}

struct World {
    node: Arc<Node>,
    signal: watch::Sender<Signal>,
    _dir: tempfile::TempDir,
}

fn world(said: &[(&str, &str)]) -> World {
    let (dir, node) = test_relay(said);
    World { node, signal: watch::Sender::default(), _dir: dir }
}

impl World {
    fn connect(&self, pipe_bytes: usize) -> Client {
        let (here, stream) = tokio::io::duplex(pipe_bytes);
        let addr = ([127, 0, 0, 1], 1).into();
        let ends = Ends { addr, laddr: addr, fd: -1, tls: false, thread: 0 };
        let info = self.node.clients.enter(ends, self.node.now_ms(), 100).unwrap();
        // Enough for a client that is slow, not for one that never reads.
        let bounds = Bounds { patience: Duration::from_millis(300), ..Bounds::of(&self.node) };
        let serving = serve(self.node.clone(), info.clone(), here, bounds, self.signal.subscribe(), ());
        Client { stream, served: tokio::spawn(serving), info }
    }
}

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn expect(&mut self, reply: &str) {
        let mut got = vec![0; reply.len()];
        self.stream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), reply);
    }

    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // The server's end may be dropped with bytes of ours unread.
        let _ = self.stream.read_to_end(&mut rest).await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
        (&mut self.served).await.unwrap();
    }
}

/// Replies come in the order of the commands however the bytes were cut on their way.
#[tokio::test]
async fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let world = world(&[]);
    let mut client = world.connect(7);
    let script =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\nGET k\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n";
    for byte in script.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect("+OK\r\n$5\r\nhello\r\n+PONG\r\n$2\r\nhi\r\n").await;
    client.send("NOSUCH\r\nPING\r\n").await;
    client.expect("-ERR unknown command 'NOSUCH', with args beginning with: \r\n+PONG\r\n").await;
    client.send("QUIT\r\n").await;
    client.expect("+OK\r\n").await;
    client.expect_end().await;
    assert_eq!(world.node.clients.count(), 0);
}

/// Commands are taken apart before those in front of them ran: what was seen then must not be believed of another
/// database, nor of more commands than a window holds.
#[tokio::test]
async fn what_was_seen_ahead_is_not_believed_of_another_database() {
    let world = world(&[]);
    let mut client = world.connect(1 << 16);
    client
        .send("SET k zero\r\nSELECT 1\r\nSET k one\r\nGET k\r\nSELECT 0\r\nGET k\r\nDEL k\r\nGET k\r\n")
        .await;
    client.expect("+OK\r\n+OK\r\n+OK\r\n$3\r\none\r\n+OK\r\n$4\r\nzero\r\n:1\r\n$-1\r\n").await;
    let (mut script, mut replies) = (String::new(), String::new());
    for n in 0..100 {
        script += &format!("INCR n\r\n\r\nSELECT {}\r\n", n % 2);
        replies += &format!(":{}\r\n+OK\r\n", n / 2 + 1);
    }
    client.send(format!("SELECT 1\r\nSELECT 1\r\n{script}")).await;
    client.expect(&format!("+OK\r\n+OK\r\n{replies}")).await;
}

/// A connection that logged itself out is a stranger from the next command on, whatever it sent behind it.
#[tokio::test]
async fn whoever_logs_out_is_kept_short_at_once() {
    let world = world(&[("requirepass", "secret")]);
    let mut client = world.connect(1 << 16);
    let long = "x".repeat(20_000);
    let echo = format!("*2\r\n$4\r\nECHO\r\n$20000\r\n{long}\r\n");
    client.send(format!("AUTH secret\r\n{echo}RESET\r\n{echo}")).await;
    client.expect(&format!("+OK\r\n$20000\r\n{long}\r\n+RESET\r\n")).await;
    client.expect("-ERR Protocol error: unauthenticated bulk length\r\n").await;
}

/// What is no request gets one clear error and the end; a browser gets nothing at all.
#[tokio::test]
async fn what_is_no_request_is_told_once_and_closed() {
    let world = world(&[]);
    let mut client = world.connect(4096);
    client.send("PING\r\n*1\r\n$x\r\nPING\r\n").await;
    client.expect("+PONG\r\n-ERR Protocol error: invalid bulk length\r\n").await;
    drop(client.stream);
    client.served.await.unwrap();
    let mut browser = world.connect(4096);
    browser.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k v\r\n").await;
    browser.expect_end().await;
    assert_eq!(world.node.metrics.protocol_errors.get(), 2);
}

/// Before it has said who it is, a client may not make the server hold much, nor hold a connection for long.
#[tokio::test(start_paused = true)]
async fn a_stranger_is_kept_short() {
    let world = world(&[("requirepass", "secret"), ("limits.auth_timeout_ms", "500")]);
    let mut stranger = world.connect(4096);
    stranger.send("GET k\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n").await;
    stranger.expect("-NOAUTH Authentication required.\r\n").await;
    stranger.expect("-ERR Protocol error: unauthenticated bulk length\r\n").await;
    drop(stranger.stream);
    let mut idler = world.connect(4096);
    idler.expect_end().await;
    assert_eq!(world.node.metrics.auth_timeouts.get(), 1);
    let mut friend = world.connect(4096);
    friend.send("AUTH secret\r\n").await;
    friend.expect("+OK\r\n").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    friend.send("PING\r\n").await;
    friend.expect("+PONG\r\n").await;
}

/// A client that pipelines more than fits before it reads must not stand still, nor its server.
#[tokio::test]
async fn whoever_writes_before_reading_is_served() {
    let world = world(&[]);
    let mut client = world.connect(512);
    let value = "v".repeat(1000);
    client.send(format!("SET k {value}\r\n")).await;
    client.expect("+OK\r\n").await;
    for _ in 0..200 {
        client.send("GET k\r\n").await;
    }
    for _ in 0..200 {
        client.expect(&format!("$1000\r\n{value}\r\n")).await;
    }
}

/// A client that never reads is cut off when its bound is reached, and its memory with it.
#[tokio::test]
async fn whoever_never_reads_is_cut_off() {
    let world = world(&[("limits.output_buffer_bytes", "128kb")]);
    let mut client = world.connect(512);
    let value = "v".repeat(60_000);
    client.send(format!("SET k {value}\r\n")).await;
    client.expect("+OK\r\n").await;
    let rounds = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.signal.send_modify(|signal| signal.round += 1);
        }
    };
    let flood = async { while client.stream.write_all(b"GET k\r\n").await.is_ok() {} };
    tokio::select! {
        () = flood => {}
        () = rounds => {}
    }
    client.served.await.unwrap();
    assert_eq!(world.node.metrics.cut_replies.get(), 1);
}

/// Messages reach a subscriber between its commands, in the form of its protocol, and end with the subscription.
#[tokio::test]
async fn messages_are_delivered_in_both_protocols() {
    let world = world(&[]);
    let (mut two, mut three) = (world.connect(4096), world.connect(4096));
    two.send("SUBSCRIBE news\r\n").await;
    two.expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
    three.send("HELLO 3\r\n").await;
    let mut hello = [0; 4096];
    assert!(three.stream.read(&mut hello).await.unwrap() > 0);
    three.send("PSUBSCRIBE n*\r\n").await;
    three.expect(">3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n").await;
    assert_eq!(world.node.bus.publish(b"news", b"hi"), 2);
    two.expect("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n").await;
    three.expect(">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n").await;
    two.send("UNSUBSCRIBE news\r\n").await;
    two.expect("*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n").await;
    assert_eq!(world.node.bus.publish(b"news", b"again"), 1);
}

/// A front end's agent gets its events in order, and a renewal is answered behind all of them.
#[tokio::test]
async fn a_follower_hears_every_event_before_its_renewal_is_answered() {
    let world = world(&[]);
    let (mut agent, mut writer) = (world.connect(1 << 16), world.connect(4096));
    agent.send("HELLO 3\r\n").await;
    let mut hello = [0; 4096];
    assert!(agent.stream.read(&mut hello).await.unwrap() > 0);
    agent.send("GS.STREAM 0 0\r\n").await;
    let mut head = [0; 4];
    agent.stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"*4\r\n");
    for _ in 0..4 {
        while agent.stream.read_u8().await.unwrap() != b'\n' {}
    }
    for _ in 0..3 {
        writer.send("SET k v\r\n").await;
        writer.expect("+OK\r\n").await;
    }
    agent.send("GS.RENEW 0\r\n").await;
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n:3\r\n") {
        heard.push(agent.stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8_lossy(&heard);
    assert_eq!(text.matches("gs.put").count(), 3, "{text}");
}

/// An idle connection ends when it is killed; when the node stops, what was read is answered first.
#[tokio::test]
async fn killed_and_stopping_connections_end() {
    let world = world(&[]);
    let (mut killed, mut last) = (world.connect(4096), world.connect(4096));
    killed.send("PING\r\n").await;
    killed.expect("+PONG\r\n").await;
    killed.info.kill.store(true, Ordering::Release);
    world.signal.send_modify(|signal| signal.round += 1);
    killed.expect_end().await;
    last.send("PING\r\nPING\r\n").await;
    world.signal.send_modify(|signal| signal.stopping = true);
    last.served.await.unwrap();
    let mut rest = Vec::new();
    last.stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty() || rest == b"+PONG\r\n+PONG\r\n");
    assert_eq!(world.node.clients.count(), 0);
}

/// Buffers that served their purpose are given back before anybody is closed for want of memory.
#[tokio::test]
async fn nobody_is_closed_for_an_empty_buffer() {
    let world = world(&[("limits.clients_buffer_bytes", "512kb")]);
    let text = "x".repeat(40_000);
    let mut clients: Vec<Client> = (0..20).map(|_| world.connect(1 << 17)).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send(format!("*2\r\n$4\r\nECHO\r\n$40000\r\n{text}\r\n")).await;
            client.expect(&format!("$40000\r\n{text}\r\n")).await;
        }
    }
    assert_eq!(world.node.metrics.evicted_clients.get(), 0);
    assert!(world.node.holdings.total() <= 1 << 18, "{}", world.node.holdings.total());
}

/// What a front end's agent has under way is not held against it; what others have is, until they end.
#[tokio::test]
async fn links_of_the_family_are_not_in_the_books() {
    let world = world(&[]);
    let (mut agent, mut client) = (world.connect(1 << 20), world.connect(1 << 20));
    let half = format!("*2\r\n$4\r\nECHO\r\n$900000\r\n{}", "x".repeat(500_000));
    agent.send("HELLO 3\r\n").await;
    let mut hello = [0; 4096];
    assert!(agent.stream.read(&mut hello).await.unwrap() > 0);
    agent.send("GS.STREAM 0 0\r\n").await;
    assert_eq!(agent.stream.read_u8().await.unwrap(), b'*');
    for client in [&mut agent, &mut client] {
        client.send(&half).await;
    }
    let total = || world.node.holdings.total();
    while total() < 500_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!((agent.info.holds(), client.info.holds()), (0, total()));
    drop(client.stream);
    client.served.await.unwrap();
    assert_eq!(total(), 0);
}

/// Only who was answered as a link is one, and no longer than to its RESET: for a command that was refused, no client
/// gets out of the books.
#[tokio::test]
async fn whoever_only_says_to_be_family_is_in_the_books() {
    let world = world(&[]);
    let mut client = world.connect(1 << 20);
    for (link, reset) in [(false, false), (true, true)] {
        if link {
            client.send("GS.SIBLING hello 127.0.0.1:1 1\r\n").await;
            client.expect(&format!("${}\r\n{}\r\n", world.node.run_id.len(), world.node.run_id)).await;
        } else {
            client.send("GS.RENEW 0\r\n").await;
            client.expect("-ERR this connection does not follow the stream: send GS.STREAM first\r\n").await;
        }
        if reset {
            client.send("RESET\r\n").await;
            client.expect("+RESET\r\n").await;
        }
        let text = "x".repeat(500_000);
        client.send(format!("*2\r\n$4\r\nECHO\r\n$500000\r\n{text}")).await;
        let counts = async {
            while world.node.holdings.total() < 500_000 {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(30), counts).await;
        assert!(counted.is_ok(), "link {link}: {}", client.info.holds());
        client.send("\r\n").await;
        client.expect(&format!("$500000\r\n{text}\r\n")).await;
    }
}

/// A transaction that cannot run any more holds nothing: what is refused is not kept, and does not count.
#[tokio::test]
async fn a_spoiled_transaction_holds_nothing() {
    let world = world(&[("limits.query_buffer_bytes", "64kb")]);
    let mut client = world.connect(1 << 16);
    let max = world.node.settings.query_buffer_bytes;
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\n{}\r\n", "x".repeat(10_000));
    for spoils in ["", "NOSUCH\r\n", "GS.RENEW 0\r\n"] {
        client.send("MULTI\r\n").await;
        client.expect("+OK\r\n").await;
        let mut read = tokio::io::BufReader::new(&mut client.stream);
        for n in 0..max / 5_000 {
            let sent = if n == 5 { spoils } else { &set };
            if !sent.is_empty() {
                read.write_all(sent.as_bytes()).await.unwrap();
                while read.read_u8().await.unwrap() != b'\n' {}
            }
        }
        assert!(world.node.holdings.total() < max / 4, "{spoils} {}", world.node.holdings.total());
        client.send("EXEC\r\n").await;
        client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n").await;
    }
}

/// A client whose invalidations go to one that is gone does not fill the books with them.
#[tokio::test]
async fn what_is_told_to_the_dead_does_not_count() {
    let world = world(&[("limits.pubsub_buffer_bytes", "8mb")]);
    let (ear, mut cacher, mut other) = (world.connect(4096), world.connect(4096), world.connect(4096));
    cacher.send(format!("CLIENT TRACKING ON BCAST REDIRECT {}\r\n", ear.info.id)).await;
    cacher.expect("+OK\r\n").await;
    let mut set = async |times: usize| {
        for _ in 0..times {
            other.send("SET k v\r\n").await;
            other.expect("+OK\r\n").await;
        }
    };
    // It never opens what is sent to it: with RESP2 it does not listen.
    set(500).await;
    assert!(world.node.holdings.total() > 1 << 14);
    drop(ear.stream);
    ear.served.await.unwrap();
    set(500).await;
    let rest = cacher.info.holds();
    assert_eq!((world.node.holdings.total(), ear.info.holds()), (rest, 0));
}

/// A subscriber that reads too slowly for too long is cut, also when nothing more is published.
#[tokio::test]
async fn whoever_lags_for_too_long_is_cut_off() {
    let soft = [("limits.pubsub_soft_bytes", "64kb"), ("limits.pubsub_soft_ms", "20")];
    let world = world(&soft);
    let mut deaf = world.connect(256);
    deaf.send("SUBSCRIBE news\r\n").await;
    deaf.expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
    for _ in 0..30 {
        assert_eq!(world.node.bus.publish(b"news", &[b'm'; 10_000]), 1);
    }
    while !deaf.served.is_finished() {
        world.signal.send_modify(|signal| signal.round += 1);
        tokio::task::yield_now().await;
    }
    let metrics = &world.node.metrics;
    assert_eq!((metrics.cut_messages_slow.get(), metrics.cut_messages.get()), (1, 0));
}

/// The future that serves a connection is the largest part of what an idle one costs, ten thousand times. A tenth
/// more than it was is worth a thought: a wait that is rare belongs into a box.
#[test]
fn the_future_of_a_connection_does_not_grow() {
    fn output<A, B, C, D, E, F, G>(_: impl FnOnce(A, B, C, D, E, F) -> G) -> usize {
        size_of::<G>()
    }
    const BYTES: usize = 1808;
    let bytes = output(serve::<tokio::net::TcpStream, ()>);
    println!(
        "{bytes} bytes, of them a Conn of {}; others see {}",
        size_of::<Conn>(),
        size_of::<ClientInfo>()
    );
    assert!(bytes * 10 <= BYTES * 11, "{bytes} bytes, were {BYTES}");
}
