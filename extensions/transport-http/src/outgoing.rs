//! The body of a response, whatever makes it, and what ends with it. It must not know routes.

use crate::gauge::Inside;
use crate::watch::Answering;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Tells a proxy such as nginx to pass on each event as it comes. Source: nginx, `proxy_buffering`.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Why a body ends before its end: the connection is closed, so that the client does not take it for whole.
#[derive(Debug)]
pub(crate) struct Cut(pub(crate) String);

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cut {}

/// A response's body, and what ends with it.
pub(crate) struct Outgoing {
    body: UnsyncBoxBody<Bytes, Cut>,
    /// It goes on for as long as the client likes: a drain does not wait for it.
    is_endless: bool,
    in_flight: Option<Arc<Inside>>,
    answering: Option<Answering>,
}

impl Outgoing {
    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is there.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::of(Full::new(bytes.into()).map_err(|never| match never {}), false)
    }

    /// A body that is made as it is sent, and ends by itself.
    pub(crate) fn made(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static) -> Self {
        Self::of(body, false)
    }

    /// A body that is made as it is sent, for as long as the client likes.
    pub(crate) fn endless(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static) -> Self {
        Self::of(body, true)
    }

    fn of(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static, is_endless: bool) -> Self {
        Self { body: body.boxed_unsync(), is_endless, in_flight: None, answering: None }
    }

    /// The same body, holding what ends when it has been sent or dropped.
    pub(crate) fn holding(mut self, in_flight: Arc<Inside>, answering: Answering) -> Self {
        self.in_flight = (!self.is_endless).then_some(in_flight);
        self.answering = Some(answering);
        self
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
