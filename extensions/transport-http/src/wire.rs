//! A connection's bytes: counted, noticed, and cut when the client takes none of them for too long.
//!
//! It must not know HTTP. The deadline starts when a write finds the socket's buffer full and ends with the first byte
//! that goes out after it, so that a slow reader lives and one that stands still does not.

use crate::numbers::Numbers;
use crate::watch::Watch;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection with a deadline for its writes.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    watch: Arc<Watch>,
    numbers: Arc<Numbers>,
    write_deadline: Duration,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(
        io: Box<dyn Io>,
        watch: Arc<Watch>,
        numbers: Arc<Numbers>,
        write_deadline: Duration,
    ) -> Self {
        Self { io, watch, numbers, write_deadline, stuck: None }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match poll {
            Poll::Ready(Ok(n)) => {
                self.stuck = None;
                self.numbers.bytes_sent.fetch_add(n as u64, Ordering::Relaxed);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => {
                ready!(self.poll_stuck(cx));
                Poll::Ready(Err(self.cut()))
            }
        }
    }

    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.write_deadline;
        self.stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + deadline)))
            .as_mut()
            .poll(cx)
    }

    fn cut(&self) -> io::Error {
        self.numbers.slow_clients_cut.fetch_add(1, Ordering::Relaxed);
        io::Error::new(io::ErrorKind::TimedOut, "the client took nothing within the write deadline")
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let n = buf.filled().len() - before;
        if n > 0 {
            self.watch.bytes_came();
            self.numbers.bytes_received.fetch_add(n as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
