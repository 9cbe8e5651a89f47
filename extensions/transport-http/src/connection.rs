//! Takes connections and drives each of them, within the times it may take.
//!
//! It must not know what a request means. hyper parses; what it has no limit for (silence before the first byte, time
//! between two requests, a client that stops reading) is kept by `watch.rs` and `wire.rs`.

use crate::answering::answer;
use crate::config::Settings;
use crate::gate::Door;
use crate::gauge::Inside;
use crate::listen::Listener;
use crate::server::Server;
use crate::watch::Watch;
use crate::wire::{Io, Wire};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::{debug, warn};

/// Wait after a connection could not be taken, for want of file descriptors for example.
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);
/// Longest time that a closed connection's rest is read, so that the client reads its answer and not a reset.
const LINGER: Duration = Duration::from_secs(5);
/// Most bytes of that rest: twice the largest body that can be configured, as most clients write all before they read.
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of it that are read at a time.
const LINGER_READ_BYTES: usize = 16 * 1024;
/// What one connection too many is answered.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// Takes connections until the server stops.
pub(crate) async fn accept(server: Arc<Server>, listener: Listener) {
    // The socket is closed before it is counted as closed.
    let (_listening, listener) = (server.listeners.enter(), listener);
    loop {
        let taken = tokio::select! {
            () = server.standing.stop.cancelled() => return,
            taken = take(&server, &listener) => taken,
        };
        let (io, door) = match taken {
            Ok(taken) => taken,
            // It is about that one connection; the next one may wait already.
            Err(e) if !is_lasting(&e) => {
                debug!(error = %e, "a connection was gone before it was taken");
                continue;
            }
            Err(e) => {
                warn!(error = %e, "cannot take a connection; trying again");
                tokio::select! {
                    () = server.standing.stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_RETRY_AFTER) => continue,
                }
            }
        };
        let settings = server.settings();
        match server.numbers.connections.enter_up_to(settings.connections_max) {
            Some(inside) => {
                server.numbers.connections_accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(drive(Arc::clone(&server), settings, io, door, inside));
            }
            None => {
                server.numbers.connections_refused.fetch_add(1, Ordering::Relaxed);
                refuse(io);
            }
        }
    }
}

/// Whether the next connection would meet the same: there are too few descriptors, or there is too little memory.
fn is_lasting(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let lasting =
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL, Errno::NOTSOCK];
    error.raw_os_error().is_some_and(|code| lasting.iter().any(|errno| errno.raw_os_error() == code))
}

async fn take(server: &Server, listener: &Listener) -> std::io::Result<(Box<dyn Io>, Door)> {
    match listener {
        Listener::Tcp(listener, bound) => {
            let (stream, _) = listener.accept().await?;
            let reached = stream.local_addr()?.ip();
            if let Err(e) = prepare(&stream, server.settings().write_deadline_ms) {
                debug!(error = %e, "a connection goes without its options");
            }
            Ok((Box::new(stream), Door::Tcp { bound: *bound, reached }))
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            Ok((Box::new(stream), Door::Unix { uid }))
        }
    }
}

/// An event goes out at once, and a client that vanished without a word is noticed by the kernel.
fn prepare(stream: &TcpStream, write_deadline_ms: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(stream, u32::try_from(write_deadline_ms).unwrap_or(u32::MAX))?;
    Ok(())
}

/// Answers one connection too many, without waiting for it.
fn refuse(mut io: Box<dyn Io>) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    // Whether it takes the answer is its own matter.
    let _ = Pin::new(&mut io).poll_write(&mut cx, FULL);
    let _ = Pin::new(&mut io).poll_shutdown(&mut cx);
}

/// How a connection came to its end.
enum Over {
    /// HTTP says so; the rest may be read.
    Done,
    /// It took too long, or the server stops.
    Cut,
}

async fn drive(server: Arc<Server>, settings: Arc<Settings>, io: Box<dyn Io>, door: Door, inside: Inside) {
    let _inside = inside;
    let watch = Watch::new(&settings);
    let wire = Wire::new(io, Arc::clone(&watch), Arc::clone(&server.numbers), settings.write_deadline());
    let service = {
        let (server, watch) = (Arc::clone(&server), Arc::clone(&watch));
        service_fn(move |request| {
            let answering = watch.answering();
            let server = Arc::clone(&server);
            Box::pin(async move { Ok::<_, Infallible>(answer(server, door, request, answering).await) })
        })
    };
    let mut connection = http1::Builder::new()
        .max_headers(settings.headers_max)
        .max_header_size(settings.header_bytes_max)
        .max_buf_size(settings.header_bytes_max)
        // The times are kept by `watch`, which also knows silence and idleness.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(wire), service);
    let over = {
        let mut stopped = pin!(server.standing.stop.cancelled());
        let mut cut = pin!(tokio::time::sleep(Duration::ZERO));
        let mut stopping = false;
        poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                // Nothing is under way, or the half of a head.
                if watch.until().is_some() {
                    return Poll::Ready(Over::Cut);
                }
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(done) = connection.poll_without_shutdown(cx) {
                if let Err(e) = done {
                    debug!(error = %e, "a connection ended in the middle");
                }
                return Poll::Ready(if stopping { Over::Cut } else { Over::Done });
            }
            let Some(until) = watch.until() else { return Poll::Pending };
            if cut.deadline() != until {
                cut.as_mut().reset(until);
            }
            cut.as_mut().poll(cx).map(|()| Over::Cut)
        })
        .await
    };
    if let Over::Done = over {
        linger(connection.into_parts().io.into_inner()).await;
    }
}

/// Says that nothing more comes, and reads the client's rest for a while: closing a socket with unread bytes resets
/// it, and the client would lose the answer that says what was wrong.
async fn linger(mut wire: Wire) {
    let rest = async {
        if wire.shutdown().await.is_err() {
            return;
        }
        // Not in the future, which every connection carries from its beginning.
        let mut buffer = vec![0; LINGER_READ_BYTES];
        let mut n_bytes = 0;
        while n_bytes < LINGER_BYTES_MAX {
            match wire.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => n_bytes += n,
            }
        }
    };
    // A client that goes on for longer is cut.
    let _ = tokio::time::timeout(LINGER, rest).await;
}

#[cfg(test)]
mod tests {
    use super::is_lasting;
    use rustix::io::Errno;

    #[test]
    fn only_what_the_next_connection_would_meet_too_is_waited_for() {
        let lasts = |errno: Errno| is_lasting(&errno.into());
        assert!(lasts(Errno::MFILE) && lasts(Errno::NOMEM));
        assert!(!lasts(Errno::CONNABORTED) && !lasts(Errno::PROTO) && !lasts(Errno::NOTCONN));
        assert!(!is_lasting(&std::io::Error::other("a peer without credentials")));
    }
}
