//! The callee's side of one open call: its entry in the tables, and its future, polled and dropped where a panic is caught.
//!
//! It must not know who waits for the answer.

use super::state::{CallState, NativeCall, Peer, Router};
use crate::guard::HostFuture;
use dispatch_abi::{BODY_BYTES_MAX, CallCtx, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{BAD_CALL, CANCELLED, INVALID, PANICKED, TOO_LARGE, UNAVAILABLE};
use dispatch_wire::{panic_text, result_from_abi};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What a call comes to.
pub(super) type Answer = Result<SharedBytes, Fault>;

/// An entry of the call tables; taken out, with its slot, when it is dropped.
pub(super) struct OpenCall {
    pub(super) router: Arc<Router>,
    pub(super) call: Arc<CallState>,
}

impl OpenCall {
    pub(super) fn new(router: Arc<Router>, call: Arc<CallState>) -> Result<Self, Fault> {
        // From here on its drop undoes whatever was done.
        let open = Self { router, call };
        let entered = open.enter();
        if entered.is_err() {
            open.router.note_answer(&open.call, &entered);
        }
        entered.map(|()| open)
    }

    fn enter(&self) -> Result<(), Fault> {
        let call = &self.call;
        if let Some(stream_id) = call.frames.stream_id() {
            let mut streams = call.caller.streams.lock().unwrap_or_else(PoisonError::into_inner);
            if streams.contains_key(&stream_id) {
                let message = format!("`{}` has a stream {stream_id} open already", call.caller.id);
                return Err(Fault::new(INVALID, message));
            }
            streams.insert(stream_id, Arc::clone(call));
        }
        if call.enter_parent().is_err() {
            let message = format!("the call out of which `{}` was made is over", call.verb);
            return Err(Fault::new(BAD_CALL, message));
        }
        self.router.calls.insert(call.id, Arc::clone(call));
        // Asked after the entry, so that a party that stops finds the call or is seen here.
        for party in [&call.caller, &call.callee] {
            if party.stopped.load(Ordering::Acquire) {
                let message = format!("`{}` has been stopped; `{}` was not called", party.id, call.verb);
                return Err(Fault::new(UNAVAILABLE, message));
            }
        }
        call.callee.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let call = &self.call;
        call.frames.close();
        call.leave_parent();
        call.changed.notify_waiters();
        if let Some(stream_id) = call.frames.stream_id() {
            let mut streams = call.caller.streams.lock().unwrap_or_else(PoisonError::into_inner);
            if streams.get(&stream_id).is_some_and(|open| open.id == call.id) {
                streams.remove(&stream_id);
            }
        }
        self.router.calls.remove(call.id);
        self.router.give_back(call);
        call.end_children();
        self.router.tell_call(call);
    }
}

/// The callee's own future. Polled and dropped inside `catch_unwind`.
pub(super) struct Callee {
    future: Option<BoxFuture<'static, Answer>>,
    /// What it answered while nobody was there to take it.
    answer: Option<Answer>,
}

impl Callee {
    pub(super) fn start(router: &Arc<Router>, call: &Arc<CallState>, body: SharedBytes) -> Self {
        let left = call.deadline.map_or(0, |at| ms(at.saturating_duration_since(Instant::now())).max(1));
        let ctx = CallCtx {
            call_id: call.id,
            parent_id: call.parent.as_ref().map_or(0, |parent| parent.id),
            budget_ms: left,
            streamed: call.frames.streamed(),
            caller: call.caller.id.as_str().into(),
            meta: call.meta.clone(),
        };
        let started = catch_unwind(AssertUnwindSafe(|| match call.callee.peer.get() {
            Some(Peer::Extension(instance)) => {
                let reply = instance.call(call.verb.as_str().into(), ctx, body);
                Box::pin(async move { result_from_abi(reply.await) }) as BoxFuture<'static, Answer>
            }
            Some(Peer::Native(service)) => {
                let answer = service.call(NativeCall::new(Arc::clone(router), Arc::clone(call)), body);
                if call.inline {
                    Box::pin(HostFuture::new(router.runtime.clone(), answer)) as BoxFuture<'static, Answer>
                } else {
                    Box::pin(Task { task: router.runtime.spawn(answer), call: Arc::clone(call) })
                }
            }
            None => Box::pin(std::future::ready(Err(Fault::new(
                UNAVAILABLE,
                format!("`{}` is not open yet", call.callee.id),
            )))),
        }));
        let future = started.unwrap_or_else(|panic| {
            let fault = panicked(call, &panic_text(panic));
            Box::pin(std::future::ready(Err(fault)))
        });
        Self { future: Some(future), answer: None }
    }

    pub(super) fn poll(&mut self, call: &CallState, cx: &mut Context<'_>) -> Poll<Answer> {
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(answer);
        }
        let Some(future) = self.future.as_mut() else {
            return Poll::Ready(Err(Fault::new(PANICKED, "a finished call was polled again")));
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => {
                self.drop_future(call);
                Poll::Ready(within_bounds(call, answer))
            }
            Err(panic) => {
                let text = panic_text(panic);
                self.drop_future(call);
                Poll::Ready(Err(panicked(call, &text)))
            }
        }
    }

    /// One look for an answer that nobody has taken yet; it is kept. Nothing that exists is thrown away unseen.
    pub(super) fn has_answered(&mut self, call: &CallState) -> bool {
        if self.answer.is_none() && self.future.is_some() {
            // Whoever looks at many calls in a row would be told `pending` of the later ones by tokio's budget.
            let look = tokio::task::unconstrained(std::future::poll_fn(|cx| self.poll(call, cx)));
            let looked = std::pin::pin!(look).poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(answer) = looked {
                self.answer = Some(answer);
            }
        }
        self.answer.is_some()
    }

    /// Its future is gone.
    pub(super) fn is_over(&self) -> bool {
        self.future.is_none()
    }

    pub(super) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    pub(super) fn drop_future(&mut self, call: &CallState) {
        let Some(future) = self.future.take() else { return };
        if catch_unwind(AssertUnwindSafe(move || drop(future))).is_err() {
            tracing::error!(instance = %call.callee.id, verb = %call.verb, "a call panicked while it was dropped");
        }
    }
}

/// A native verb's own task: whoever awaits the call lends it no thread. Dropping it ends the task.
struct Task {
    task: tokio::task::JoinHandle<Answer>,
    call: Arc<CallState>,
}

impl Future for Task {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.task).poll(cx).map(|joined| {
            joined.unwrap_or_else(|e| match e.try_into_panic() {
                Ok(panic) => Err(panicked(&self.call, &panic_text(panic))),
                Err(_) => Err(Fault::new(CANCELLED, "the host's runtime ended the call")),
            })
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A reply above the bound is a fault of its callee.
fn within_bounds(call: &CallState, answer: Answer) -> Answer {
    let bytes = answer?;
    if bytes.len() <= BODY_BYTES_MAX {
        return Ok(bytes);
    }
    let message = format!(
        "`{}` answered `{}` with {} bytes; a reply has at most {BODY_BYTES_MAX}: what is larger goes as a blob, or in frames",
        call.callee.id,
        call.verb,
        bytes.len()
    );
    Err(Fault::new(TOO_LARGE, message))
}

fn panicked(call: &CallState, text: &str) -> Fault {
    let message = format!("`{}` panicked in `{}`: {text}", call.callee.id, call.verb);
    Fault::new(PANICKED, message).with_detail(serde_json::json!({ "instance": call.callee.id }))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
