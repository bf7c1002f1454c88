//! One connection: bytes out, replies in. Knows nothing of calls or of reconnecting.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use gs_resp::{GuardLimits, Reply, ReplyGuard, decode_reply, encode_command};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{LinkConfig, LinkError};

/// Room made for every read.
const READ_BYTES: usize = 16 << 10;
/// A buffer that grew beyond this for one long reply is given back once it is empty.
const KEEP_BYTES_MAX: usize = 1 << 20;

/// What a connection is made of: TCP, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection with its buffers.
pub(crate) struct Wire {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    input: BytesMut,
    output: BytesMut,
    /// Bytes were written that TLS may still hold.
    unflushed: bool,
    guard: ReplyGuard,
    guard_limits: GuardLimits,
}

impl Wire {
    /// Connects, and sends `AUTH` and the hello; the time limit is `connect_timeout`. Returns the hello's replies too.
    pub(crate) async fn connect(config: &LinkConfig) -> Result<(Wire, Vec<Reply>), LinkError> {
        match tokio::time::timeout(config.connect_timeout, Self::connect_unbounded(config)).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::Timeout),
        }
    }

    async fn connect_unbounded(config: &LinkConfig) -> Result<(Wire, Vec<Reply>), LinkError> {
        let tcp = TcpStream::connect(&config.addr).await.map_err(|e| protocol("connecting", &e))?;
        // Calls are small and each is waited for: Nagle's algorithm would hold them back.
        tcp.set_nodelay(true).map_err(|e| protocol("connecting", &e))?;
        let stream: Box<dyn Stream> = match &config.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = config.server_name.clone().unwrap_or_else(|| host(&config.addr).to_owned());
                let name = ServerName::try_from(name)
                    .map_err(|_| LinkError::Protocol(format!("{} has no name TLS can check", config.addr)))?;
                let tls = TlsConnector::from(tls.clone()).connect(name, tcp).await;
                Box::new(tls.map_err(|e| protocol("the TLS handshake", &e))?)
            }
        };
        let (reader, writer) = split(stream);
        let guard_limits = GuardLimits {
            reply_bytes_max: config.reply_bytes_max,
            bulk_bytes_max: config.reply_bytes_max,
            ..GuardLimits::DEFAULT
        };
        let mut wire = Wire {
            reader,
            writer,
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            guard: ReplyGuard::with_limits(guard_limits),
            guard_limits,
        };
        let replies = wire.hello(config).await?;
        Ok((wire, replies))
    }

    async fn hello(&mut self, config: &LinkConfig) -> Result<Vec<Reply>, LinkError> {
        let mut bytes = Vec::new();
        let mut wanted = config.hello.len();
        if let Some(password) = &config.password {
            encode_command(&mut bytes, &[b"AUTH", password.as_bytes()]);
            wanted += 1;
        }
        for command in &config.hello {
            let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            encode_command(&mut bytes, &args);
        }
        self.send(&bytes);
        let mut replies = Vec::with_capacity(wanted);
        while replies.len() < wanted {
            match self.next().await? {
                Reply::Push(_) => {}
                Reply::Error(text) => return Err(LinkError::Protocol(format!("the peer refuses: {text}"))),
                reply => replies.push(reply),
            }
        }
        Ok(replies)
    }

    /// Queues bytes; [`Wire::turn`] and [`Wire::next`] carry them.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Queues one command.
    pub(crate) fn send_command(&mut self, args: &[&[u8]]) {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args);
        self.send(&bytes);
    }

    /// Bytes queued and not yet written.
    pub(crate) fn backlog(&self) -> usize {
        self.output.len()
    }

    /// The next reply that has arrived in full, if one has.
    pub(crate) fn take(&mut self) -> Result<Option<Reply>, LinkError> {
        self.ready()?.map(|len| self.decode(len)).transpose()
    }

    /// The length of the next reply, if it has arrived in full. Then it has to be taken, by [`Wire::decode`] or
    /// [`Wire::whole`], before this is asked again.
    pub(crate) fn ready(&mut self) -> Result<Option<usize>, LinkError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        self.guard.advance(&self.input).map_err(|e| LinkError::Protocol(e.to_string()))
    }

    /// True if what arrived begins with a message that nobody asked for.
    pub(crate) fn begins_push(&self) -> bool {
        self.input.first() == Some(&b'>')
    }

    /// Takes a reply of this length apart.
    pub(crate) fn decode(&mut self, len: usize) -> Result<Reply, LinkError> {
        let reply = decode_reply(&self.input[..len]).map_err(|e| LinkError::Protocol(e.to_string()))?;
        self.taken(len);
        Ok(reply)
    }

    /// Takes a reply of this length as it came.
    pub(crate) fn whole(&mut self, len: usize) -> Bytes {
        // Copied, so that it does not pin the buffer.
        let reply = Bytes::copy_from_slice(&self.input[..len]);
        self.taken(len);
        reply
    }

    fn taken(&mut self, len: usize) {
        self.input.advance(len);
        if self.input.is_empty() && self.input.capacity() > KEEP_BYTES_MAX {
            self.input = BytesMut::new();
            self.guard = ReplyGuard::with_limits(self.guard_limits);
        }
    }

    /// One step in whichever direction goes first. Cancelling it loses nothing.
    ///
    /// Reading goes on while writing waits: a peer that stopped reading because its own output is full must be
    /// drained, or both ends wait for ever.
    pub(crate) async fn turn(&mut self) -> Result<(), LinkError> {
        self.input.reserve(READ_BYTES);
        let writing = !self.output.is_empty() || self.unflushed;
        tokio::select! {
            read = self.reader.read_buf(&mut self.input) => match read {
                Ok(0) => Err(LinkError::Lost),
                Ok(_) => Ok(()),
                Err(e) => Err(protocol("reading", &e)),
            },
            wrote = write_some(&mut self.writer, &mut self.output, &mut self.unflushed), if writing => {
                wrote.map_err(|e| protocol("writing", &e))
            }
        }
    }

    /// Waits for the next reply, writing what is queued meanwhile. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Reply, LinkError> {
        loop {
            if let Some(reply) = self.take()? {
                return Ok(reply);
            }
            self.turn().await?;
        }
    }
}

async fn write_some(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if output.is_empty() {
        writer.flush().await?;
        *unflushed = false;
        return Ok(());
    }
    // Set before the write: if the write is cancelled half way, one flush too many is the harmless side.
    *unflushed = true;
    match writer.write_buf(output).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

fn protocol(doing: &str, error: &io::Error) -> LinkError {
    LinkError::Protocol(format!("{doing}: {error}"))
}

/// The host of `HOST:PORT`, without an IPv6 address's brackets.
fn host(addr: &str) -> &str {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::host;

    /// The host is the name a certificate is checked for; a port or bracket in it would never match.
    #[test]
    fn the_host_of_an_address() {
        assert_eq!(host("relay.example:7878"), "relay.example");
        assert_eq!(host("[::1]:7878"), "::1");
        assert_eq!(host("10.0.0.1:1"), "10.0.0.1");
        assert_eq!(host("bare"), "bare");
    }
}
