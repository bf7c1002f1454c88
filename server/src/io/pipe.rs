//! One socket with its buffers: bytes in, bytes out, both at the same time.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// A stream that a connection can be served over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Room made for a read at first; doubles while reads fill it.
const READ_BYTES_MIN: usize = 1024;
/// Room made for a read at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What [`Pipe::turn`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// That many bytes came in; 0 is the end of the input.
    Read(usize),
    /// Bytes went out, or the last of them reached the peer's side of TLS.
    Wrote,
}

/// A stream with an input and an output buffer.
pub struct Pipe<S> {
    stream: S,
    /// What was read and not consumed yet.
    pub input: Vec<u8>,
    /// What is to be written; the first `sent` bytes already are.
    pub out: Vec<u8>,
    sent: usize,
    unflushed: bool,
    read_bytes: usize,
    written: u64,
}

impl<S: Stream> Pipe<S> {
    /// A pipe with empty buffers.
    pub fn new(stream: S) -> Self {
        Pipe {
            stream,
            input: Vec::new(),
            out: Vec::new(),
            sent: 0,
            unflushed: false,
            read_bytes: READ_BYTES_MIN,
            written: 0,
        }
    }

    /// Bytes waiting to be written.
    pub fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// True when nothing is left to write.
    pub fn is_flushed(&self) -> bool {
        self.pending() == 0 && !self.unflushed
    }

    /// Bytes written since the last call.
    pub fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Drops the first `n` bytes of the input.
    pub fn consume(&mut self, n: usize) {
        if n >= self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..n);
        }
    }

    /// One step in whichever direction goes first, writing before reading. Cancelling it loses nothing.
    ///
    /// `wanted` is how many more bytes would complete the request being read, 0 when that is not known; room is
    /// made as bytes arrive, not as they are announced.
    pub async fn turn(&mut self, read: bool, wanted: usize) -> io::Result<Turn> {
        poll_fn(|cx| self.poll_turn(cx, read, wanted)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, read: bool, wanted: usize) -> Poll<io::Result<Turn>> {
        if !self.is_flushed()
            && let Poll::Ready(done) = self.poll_write(cx)
        {
            return Poll::Ready(done.map(|()| Turn::Wrote));
        }
        if !read {
            return Poll::Pending;
        }
        let room = wanted.clamp(self.read_bytes, READ_BYTES_MAX.max(self.input.len()));
        if self.input.capacity() - self.input.len() < room.min(self.read_bytes) {
            self.input.reserve(room);
        }
        let spare = self.input.capacity() - self.input.len();
        let n = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if n == spare {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(Turn::Read(n)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pending() == 0 {
            // TLS keeps the end of a record until it is told that there is no more.
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            return Poll::Ready(Ok(()));
        }
        self.unflushed = true;
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.sent..]))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent += n;
        self.written += n as u64;
        if self.pending() == 0 {
            self.out.clear();
            self.sent = 0;
            // A plain socket flushes at once; TLS may have to wait, and then another turn goes on.
            if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_flush(cx) {
                done?;
                self.unflushed = false;
            }
        } else if self.sent >= READ_BYTES_MAX {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives memory back while nothing is under way.
    pub fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = Vec::new();
            self.read_bytes = READ_BYTES_MIN;
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Tells the peer that nothing more will come.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// Reads and forgets up to `bytes`, so that closing does not reset the connection under the reply.
    pub async fn discard(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            self.input.clear();
            match self.turn(true, 0).await {
                Ok(Turn::Read(n)) if n > 0 => left = left.saturating_sub(n),
                Ok(Turn::Wrote) => {}
                _ => return,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// A peer that does not read must not keep us from reading what it sends, or both wait for ever.
    #[tokio::test]
    async fn reading_goes_on_while_writing_waits() {
        let (here, mut there) = tokio::io::duplex(16);
        let mut pipe = Pipe::new(here);
        pipe.out.extend_from_slice(&[b'x'; 1000]);
        there.write_all(b"PING\r\n").await.unwrap();
        while pipe.input.len() < 6 {
            pipe.turn(true, 0).await.unwrap();
        }
        assert_eq!(pipe.input, b"PING\r\n");
        assert!(pipe.pending() > 0);
    }

    /// Consumed bytes are gone and the rest moves to the front, where the parser expects it.
    #[tokio::test]
    async fn what_is_consumed_is_gone() {
        let (here, _there) = tokio::io::duplex(16);
        let mut pipe = Pipe::new(here);
        pipe.input.extend_from_slice(b"abcdef");
        pipe.consume(4);
        assert_eq!(pipe.input, b"ef");
        pipe.consume(9);
        assert!(pipe.input.is_empty());
    }
}
