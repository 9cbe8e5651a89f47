//! A stream op as server-sent events: one client, one call of the op.
//!
//! There is no second fan-out here, because whoever owns the log shares the encoded frames between its watchers
//! already, and serves a client that is behind from the log: the call's credit is the client's queue. It must not know
//! what the frames say.
//!
//! What one client can hold here: the call's credit (64 KiB, or one larger frame), a batch, what the connection
//! buffers (`header_bytes_max` and one batch), and the socket's send buffer. Everything else waits with the op.

use crate::config::Settings;
use crate::frames::{put_event, put_frame};
use crate::gauge::{Gauge, Inside};
use crate::outgoing::{Cut, Outgoing, UNBUFFERED};
use crate::problem::Problem;
use crate::standing::Standing;
use dispatch_sdk::fault::{CANCELLED, OVERLOADED, UNAVAILABLE};
use dispatch_sdk::{Fault, Host, Item, RawItem, RawStream};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Longest time that a fault can still become the response's status; then the head goes out.
const STREAM_ACCEPT_WAIT: Duration = Duration::from_millis(250);
/// A write begins when so much is ready, or nothing more is.
const BATCH_BYTES: usize = 32 * 1024;
/// When a client shall try again after there were too many.
const FULL_RETRY_AFTER_MS: u64 = 1_000;
/// Tells a browser when to reconnect.
const HELLO: &[u8] = b"retry: 1000\n\n";
const HEARTBEAT: &[u8] = b": still here\n\n";
const GOODBYE: &[u8] = b": the host ends; resume by the last id\n\n";

/// What a call ends with when its callee stops.
const ENDED: [&str; 2] = [CANCELLED, UNAVAILABLE];

/// What all streams share.
#[derive(Clone, Copy)]
pub(crate) struct Streams<'a> {
    /// Those that are open.
    pub(crate) clients: &'a Arc<Gauge>,
    pub(crate) settings: &'a Settings,
    pub(crate) standing: &'a Standing,
}

/// Answers a stream's head as soon as the op shows that it runs.
pub(crate) async fn open(
    streams: Streams<'_>,
    host: &Host,
    verb: &str,
    input: Vec<u8>,
) -> Result<Response<Outgoing>, Problem> {
    let Streams { clients, settings, standing } = streams;
    let Some(inside) = clients.enter_up_to(settings.sse_clients_max) else {
        let message =
            format!("{} streams are open already; close one, or come back", settings.sse_clients_max);
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, message);
        return Err(problem.retry_after_ms(FULL_RETRY_AFTER_MS));
    };
    let mut frames = host.stream_raw(verb, input);
    let first = match tokio::time::timeout(STREAM_ACCEPT_WAIT, frames.next()).await {
        Ok(first) => Some(first?),
        Err(_) => None,
    };
    let heartbeat_every = Duration::from_millis(settings.heartbeat_ms);
    let events = Events {
        frames: Some(frames),
        first,
        said_hello: false,
        heartbeat_every,
        heartbeat: Box::pin(tokio::time::sleep(heartbeat_every)),
        stopped: Box::pin(standing.stop.clone().cancelled_owned()),
        draining: standing.draining.clone(),
        _inside: inside,
    };
    let mut response = Response::new(Outgoing::endless(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(UNBUFFERED.0, UNBUFFERED.1);
    Ok(response)
}

/// The body of a stream.
struct Events {
    /// `None` when the op has ended.
    frames: Option<RawStream>,
    first: Option<RawItem>,
    said_hello: bool,
    heartbeat_every: Duration,
    heartbeat: Pin<Box<Sleep>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    draining: CancellationToken,
    _inside: Inside,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.poll(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Events {
    /// What is to be written next, as much as is ready; `None` at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.frames.is_none() {
            return Poll::Ready(None);
        }
        if self.stopped.as_mut().poll(cx).is_ready() {
            self.frames = None;
            return Poll::Ready(Some(Bytes::from_static(GOODBYE)));
        }
        let mut batch = Vec::new();
        if !std::mem::replace(&mut self.said_hello, true) {
            batch.extend_from_slice(HELLO);
        }
        if let Some(first) = self.first.take() {
            self.put(&mut batch, Ok(first));
        }
        while batch.len() < BATCH_BYTES
            && let Some(frames) = &mut self.frames
        {
            // A frame that was taken is in the batch at once, so that dropping the future loses none.
            let Poll::Ready(item) = pin!(frames.next()).poll(cx) else { break };
            self.put(&mut batch, item);
        }
        if !batch.is_empty() {
            self.heartbeat.as_mut().reset(Instant::now() + self.heartbeat_every);
            return Poll::Ready(Some(Bytes::from(batch)));
        }
        if self.heartbeat.as_mut().poll(cx).is_ready() {
            self.heartbeat.as_mut().reset(Instant::now() + self.heartbeat_every);
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT)));
        }
        Poll::Pending
    }

    fn put(&mut self, batch: &mut Vec<u8>, item: Result<RawItem, Fault>) {
        match item {
            Ok(Item::Frame(frame)) => put_frame(batch, &frame),
            Ok(Item::End(reply)) => {
                let reply = if reply.is_empty() { b"{}" } else { reply.as_slice() };
                put_event(batch, "end", reply);
                self.frames = None;
            }
            // Whoever served the stream has ended, as it should: the client resumes at the next host.
            Err(fault) if self.draining.is_cancelled() && ENDED.contains(&fault.code.as_str()) => {
                batch.extend_from_slice(GOODBYE);
                self.frames = None;
            }
            Err(fault) => {
                put_event(batch, "problem", Problem::from(fault).to_json().to_string().as_bytes());
                self.frames = None;
            }
        }
    }
}
