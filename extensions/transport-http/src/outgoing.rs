//! The body of a response: whole, a stream of events, or what a mount answers. It must not know routes.

use crate::gauge::Inside;
use crate::mounted::MountedBody;
use crate::sse::Events;
use crate::watch::Answering;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
    kind: Kind,
    in_flight: Option<Arc<Inside>>,
    answering: Option<Answering>,
}

enum Kind {
    Whole(Option<Bytes>),
    Events(Box<Events>),
    Mounted(Box<MountedBody>),
}

impl Outgoing {
    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self::of(Kind::Whole(None))
    }

    /// A body that is there.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A stream of events.
    pub(crate) fn events(events: Events) -> Self {
        Self::of(Kind::Events(Box::new(events)))
    }

    /// What a mount answers.
    pub(crate) fn mounted(body: MountedBody) -> Self {
        Self::of(Kind::Mounted(Box::new(body)))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, in_flight: None, answering: None }
    }

    /// Whether it goes on for as long as the client likes: a drain does not wait for it.
    fn is_endless(&self) -> bool {
        match &self.kind {
            Kind::Whole(_) => false,
            Kind::Events(_) => true,
            Kind::Mounted(body) => body.is_events(),
        }
    }

    /// The same body, holding what ends when it has been sent or dropped.
    pub(crate) fn holding(mut self, in_flight: Arc<Inside>, answering: Answering) -> Self {
        self.in_flight = (!self.is_endless()).then_some(in_flight);
        self.answering = Some(answering);
        self
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Events(events) => events.poll(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Mounted(body) => body.poll(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Events(_) | Kind::Mounted(_) => SizeHint::default(),
        }
    }
}
