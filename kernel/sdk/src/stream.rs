//! Call streams from the caller's side: frames and reply driven together, credit granted on consumption.

use crate::inner::Inner;
use crate::queues::Queue;
use dispatch_abi::{Reply, SharedBytes};
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::{Fault, Item, Verb};
use dispatch_wire::{decode, result_from_abi};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An item of a raw stream.
pub type RawItem = Item<SharedBytes, SharedBytes>;

/// A call whose frames are read. Dropping it cancels the call in two phases.
///
/// There is no way to await the reply before the frames: with a bounded credit that would hang.
pub struct CallStream<V> {
    raw: RawStream,
    verb: PhantomData<fn(V)>,
}

impl<V: Verb> CallStream<V> {
    pub(crate) fn new(raw: RawStream) -> Self {
        Self { raw, verb: PhantomData }
    }

    /// The next frame, or the reply. An `Err` is the end as well.
    pub async fn next(&mut self) -> Result<Item<V::Frame, V::Reply>, Fault> {
        match self.raw.next().await? {
            Item::Frame(bytes) => {
                Ok(Item::Frame(decode(BROKEN, format_args!("a frame of `{}`", V::NAME), &bytes)?))
            }
            Item::End(bytes) => {
                Ok(Item::End(decode(BROKEN, format_args!("the reply of `{}`", V::NAME), &bytes)?))
            }
        }
    }

    /// Reads to the end, dropping frames.
    pub async fn finish(mut self) -> Result<V::Reply, Fault> {
        loop {
            if let Item::End(reply) = self.next().await? {
                return Ok(reply);
            }
        }
    }
}

/// A stream of JSON bytes.
pub struct RawStream {
    inner: Arc<Inner>,
    stream_id: u64,
    queue: Arc<Queue>,
    reply: ReplyState,
}

enum ReplyState {
    Open(Reply<SharedBytes>),
    Done(Result<SharedBytes, Fault>),
    Taken,
}

impl RawStream {
    pub(crate) fn new(
        inner: Arc<Inner>,
        stream_id: u64,
        queue: Arc<Queue>,
        reply: Result<Reply<SharedBytes>, Fault>,
    ) -> Self {
        let reply = match reply {
            Ok(reply) => ReplyState::Open(reply),
            Err(fault) => ReplyState::Done(Err(fault)),
        };
        Self { inner, stream_id, queue, reply }
    }

    /// The next frame, or the reply. An `Err` is the end as well.
    pub async fn next(&mut self) -> Result<RawItem, Fault> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<RawItem, Fault>> {
        loop {
            if let Some(frame) = self.queue.pop_or_wait(cx.waker()) {
                // An empty frame costs one byte of credit, so that it is bounded too.
                self.inner.host.credit(self.stream_id, frame.len().max(1) as u64);
                return Poll::Ready(Ok(Item::Frame(frame)));
            }
            match &mut self.reply {
                // The host completes the reply only after the last frame was delivered, so look once more for frames.
                ReplyState::Open(reply) => match Pin::new(reply).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(result) => self.reply = ReplyState::Done(result_from_abi(result)),
                },
                ReplyState::Done(_) => {
                    let ReplyState::Done(result) = std::mem::replace(&mut self.reply, ReplyState::Taken)
                    else {
                        unreachable!("matched as done just above")
                    };
                    return Poll::Ready(result.map(Item::End));
                }
                ReplyState::Taken => {
                    return Poll::Ready(Err(Fault::new(BROKEN, "the stream was read past its end")));
                }
            }
        }
    }
}

impl Drop for RawStream {
    fn drop(&mut self) {
        self.inner.streams.close(self.stream_id);
    }
}
