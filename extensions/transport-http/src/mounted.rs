//! A request of a mounted route: handed to whoever mounted it, and its frames as the response.
//!
//! It must not know what is answered. It hands on no credentials, and keeps to itself the headers of the connection
//! and those that say which pages may read the answer.

use crate::outgoing::{Cut, Outgoing, UNBUFFERED};
use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::http::{BODY_FRAME_BYTES_MAX, Request, RequestParams, ResponseFrame, Route};
use dispatch_sdk::fault::{BROKEN, DEADLINE};
use dispatch_sdk::{CallStream, Fault, Host, Item};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Longest time to the head of a response.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Most headers of a response.
const RESPONSE_HEADERS_MAX: usize = 100;
/// Headers of a request that stay here.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];
/// Headers of a response that are the listener's.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Routes, and the handle by which whoever mounted them is called back.
pub(crate) struct Mounted {
    pub(crate) host: Host,
    pub(crate) routes: Vec<Route>,
}

/// Hands a request on, and waits for the head of its response; its body is cut at `stop`.
pub(crate) async fn ask(
    stop: &CancellationToken,
    mounted: &Mounted,
    route_idx: usize,
    head: &Parts,
    params: BTreeMap<String, String>,
    body: &[u8],
) -> Result<Response<Outgoing>, Problem> {
    let params = RequestParams {
        route_idx,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        params,
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: headers_of(&head.headers),
        body: STANDARD.encode(body),
    };
    let mut stream = mounted.host.stream(Request, &params);
    let first = tokio::time::timeout(HEAD_WAIT, stream.next()).await.unwrap_or_else(|_| {
        let message = format!("whoever mounted this route sent no head within {} s", HEAD_WAIT.as_secs());
        Err(Fault::new(DEADLINE, message))
    });
    let Item::Frame(ResponseFrame::Head { status, headers }) = first? else {
        return Err(broken("its response does not begin with a head"));
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| broken("its status is none of 200 to 599"))?;
    let headers = response_headers(headers)?;
    let is_events =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = MountedBody { stream: Some(stream), stopped: Box::pin(stop.clone().cancelled_owned()) };
    let body = if is_events { Outgoing::endless(body) } else { Outgoing::made(body) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if is_events {
        response.headers_mut().entry(UNBUFFERED.0).or_insert(UNBUFFERED.1);
    }
    Ok(response)
}

fn broken(what: &str) -> Problem {
    Problem::from(Fault::new(BROKEN, format!("whoever mounted this route broke the contract: {what}")))
}

fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !CREDENTIALS.contains(&name.as_str()))
        .filter_map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect()
}

fn response_headers(given: Vec<(String, String)>) -> Result<HeaderMap, Problem> {
    if given.len() > RESPONSE_HEADERS_MAX {
        return Err(broken(&format!("its response has more than {RESPONSE_HEADERS_MAX} headers")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| broken("a header's name does not have its form"))?;
        let value =
            HeaderValue::from_str(&value).map_err(|_| broken("a header's value does not have its form"))?;
        if !OURS.contains(&name.as_str()) && !name.as_str().starts_with("access-control-") {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// The body of a response.
struct MountedBody {
    /// `None` when it has ended.
    stream: Option<CallStream<Request>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Body for MountedBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.poll(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }
}

impl MountedBody {
    /// The next piece; an error closes the connection, so that what came is not taken for the whole.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let polled = loop {
            match pin!(stream.next()).poll(cx) {
                Poll::Ready(Ok(Item::Frame(ResponseFrame::Unknown))) => {}
                polled => break polled,
            }
        };
        let next = match polled {
            Poll::Pending if self.stopped.as_mut().poll(cx).is_ready() => {
                Err(Cut("the host ends".to_owned()))
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Item::End(_))) => {
                self.stream = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Ok(Item::Frame(frame))) => piece(frame),
            Poll::Ready(Err(fault)) => Err(Cut(fault.message)),
        };
        if next.is_err() {
            self.stream = None;
        }
        Poll::Ready(Some(next))
    }
}

fn piece(frame: ResponseFrame) -> Result<Bytes, Cut> {
    let bytes = match frame {
        ResponseFrame::Text { text } => text.into_bytes(),
        ResponseFrame::Data { data } => {
            STANDARD.decode(data).map_err(|e| Cut(format!("a piece of the body is no base64: {e}")))?
        }
        ResponseFrame::Head { .. } => return Err(Cut("a second head came".to_owned())),
        ResponseFrame::Unknown => Vec::new(),
    };
    if bytes.len() > BODY_FRAME_BYTES_MAX {
        return Err(Cut(format!("a piece of the body has more than {BODY_FRAME_BYTES_MAX} bytes")));
    }
    Ok(Bytes::from(bytes))
}
