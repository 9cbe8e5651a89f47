//! Call streams from the caller's side: frames and reply driven together, credit granted on consumption.

use crate::adapter::Inner;
use dispatch_abi::abi_stable::std_types::RSlice;
use dispatch_abi::{Reply, SharedBytes};
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::{Fault, Verb};
use dispatch_wire::{decode, result_from_abi};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What comes out of a stream.
#[derive(Debug)]
pub enum Item<F, R> {
    /// One frame; more may follow.
    Frame(F),
    /// The reply; nothing follows.
    End(R),
}

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

/// The open streams of one instance.
#[derive(Default)]
pub(crate) struct Streams {
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Queue>>>,
}

impl Streams {
    pub(crate) fn open(&self) -> (u64, Arc<Queue>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = Arc::new(Queue::default());
        self.lock().insert(id, Arc::clone(&queue));
        (id, queue)
    }

    fn close(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Takes frames from the host; bounded by the credit that was granted.
    pub(crate) fn deliver(&self, id: u64, frames: RSlice<'_, SharedBytes>) {
        let queue = self.lock().get(&id).cloned();
        if let Some(queue) = queue {
            queue.push(frames.as_slice());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Queue>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    frames: VecDeque<SharedBytes>,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&self, frames: &[SharedBytes]) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.frames.extend(frames.iter().cloned());
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn pop_or_wait(&self, waker: &Waker) -> Option<SharedBytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = state.frames.pop_front();
        if frame.is_none() {
            state.waker = Some(waker.clone());
        }
        frame
    }
}
