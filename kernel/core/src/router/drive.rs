//! Drives one call to its end: deadline, silence, cancelling in two phases, panics, bookkeeping.

use super::Router;
use super::abandoned::{Found, Parked};
use super::call::CallState;
use super::cancel::{CancelReason, grace};
use super::endpoint::Peer;
use super::native::NativeCall;
use crate::guard::{HostFuture, in_runtime};
use dispatch_abi::{BODY_BYTES_MAX, CallCtx, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{BAD_CALL, CANCELLED, DEADLINE, INVALID, PANICKED, TOO_LARGE, UNAVAILABLE};
use dispatch_wire::{panic_text, result_from_abi};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

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
        self.router.calls.insert(Arc::clone(call));
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
    fn start(router: &Arc<Router>, call: &Arc<CallState>, body: SharedBytes) -> Self {
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

    fn poll(&mut self, call: &CallState, cx: &mut Context<'_>) -> Poll<Answer> {
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

/// A call on its way. Awaiting drives it; dropping it cancels in two phases, the second in the background.
pub(crate) struct RoutedCall {
    call: Arc<CallState>,
    /// Where the parts lie between two polls.
    parked: Arc<Parked>,
    /// The parts, during a poll.
    parts: Option<(OpenCall, Callee)>,
    wait: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// A cancel or a deadline came; the wait is for the end of the grace time.
    ending: Option<Fault>,
    answer: Option<Answer>,
}

/// Told to end, the callee says `cancelled`; what its caller must know is why.
fn told(answer: Answer, ending: Option<&Fault>) -> Answer {
    match (answer, ending) {
        (Err(fault), Some(ending)) if fault.is(CANCELLED) => Err(ending.clone()),
        (answer, _) => answer,
    }
}

/// Why waiting for the callee ended.
enum Ended {
    Limit(CancelReason, String),
    Cancelled(CancelReason),
    GraceOver,
    Delivered,
}

impl RoutedCall {
    pub(super) fn start(open: OpenCall, body: SharedBytes) -> Self {
        let callee = Callee::start(&open.router, &open.call, body);
        // A cancel that came while the callee did not know the call yet was lost on it.
        if open.call.is_cancelled() {
            open.call.tell_cancelled();
        }
        let call = Arc::clone(&open.call);
        Self { call, parked: Parked::of(open, callee), parts: None, wait: None, ending: None, answer: None }
    }

    pub(super) fn state(&self) -> Arc<CallState> {
        Arc::clone(&self.call)
    }

    fn finish(&mut self, answer: Answer) -> Poll<Answer> {
        if let Some((open, mut callee)) = self.parts.take() {
            let guard = open.router.runtime.enter();
            open.router.note_answer(&open.call, &answer);
            callee.drop_future(&open.call);
            // Not one that was handed on from a callee of its own.
            if let Err(fault) = &answer
                && fault.is(PANICKED)
                && fault.detail["instance"] == open.call.callee.id
            {
                open.call.callee.note_panic(&fault.message);
            }
            drop(guard);
        }
        Poll::Ready(answer)
    }

    fn arm(&mut self) {
        let Some((open, _)) = &self.parts else { return };
        let call = Arc::clone(&open.call);
        self.wait = Some(if self.answer.is_some() {
            Box::pin(delivered(call))
        } else if self.ending.is_some() {
            Box::pin(async {
                grace(call).await;
                Ended::GraceOver
            })
        } else {
            Box::pin(limits(call))
        });
    }

    fn on_ended(&mut self, ended: Ended) -> Option<Answer> {
        let reason = match ended {
            Ended::Delivered => return self.answer.take(),
            Ended::GraceOver => {
                let ending = self.ending.take().map(Err);
                let Some((open, callee)) = &mut self.parts else { return ending };
                if in_runtime(&open.router.runtime, || callee.has_answered(&open.call)) {
                    return None;
                }
                if !open.call.frames.close() {
                    return ending;
                }
                // The frames that are on their way right now come before the end.
                in_runtime(&open.router.runtime, || callee.drop_future(&open.call));
                self.answer = ending;
                return None;
            }
            Ended::Limit(reason, message) => {
                self.ending = Some(Fault::new(DEADLINE, message));
                reason
            }
            Ended::Cancelled(reason) => {
                let verb = self.parts.as_ref().map_or("", |(open, _)| open.call.verb.as_str());
                self.ending =
                    Some(Fault::new(CANCELLED, format!("`{verb}` was cancelled and did not answer in time")));
                reason
            }
        };
        if let Some((open, _)) = &self.parts {
            open.call.cancel_tree(reason);
        }
        None
    }
}

/// Ends when the deadline or the limit of silence has passed, or the call was cancelled from above.
async fn limits(call: Arc<CallState>) -> Ended {
    loop {
        let silent_at = call.silent_at();
        let next = [call.deadline, silent_at].into_iter().flatten().min();
        let Some(next) = next else {
            return Ended::Cancelled(call.cancelled().await);
        };
        tokio::select! {
            reason = call.cancelled() => return Ended::Cancelled(reason),
            () = tokio::time::sleep_until(next.into()) => {}
        }
        let Some(reason) = call.limit_passed(Instant::now()) else { continue };
        let (callee, verb) = (&call.callee.id, &call.verb);
        let message = if reason == CancelReason::Silence {
            format!("`{callee}` showed no sign of life in `{verb}` for {} ms", call.silence_ms)
        } else {
            format!("`{callee}` did not answer `{verb}` within its budget")
        };
        return Ended::Limit(reason, message);
    }
}

/// Ends when the last frame has been handed over: only then may the reply be seen.
async fn delivered(call: Arc<CallState>) -> Ended {
    loop {
        let changed = call.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !call.frames.is_delivering() {
            return Ended::Delivered;
        }
        changed.await;
    }
}

impl Future for RoutedCall {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        this.parts = match this.parked.take(cx.waker()) {
            Found::Parts(open, callee) => Some((open, callee)),
            Found::Looking => return Poll::Pending,
            Found::Ended(answer) => return Poll::Ready(told(answer, this.ending.as_ref())),
            Found::Nothing => None,
        };
        let polled = this.poll_parts(cx);
        if polled.is_pending() {
            this.parked.put_back(this.parts.take(), cx.waker());
        }
        polled
    }
}

impl RoutedCall {
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self;
        loop {
            let Some((open, callee)) = this.parts.as_mut() else {
                return Poll::Ready(Err(Fault::new(CANCELLED, "a finished call was awaited again")));
            };
            if this.answer.is_none()
                && let Poll::Ready(answer) = callee.poll(&open.call, cx)
            {
                let answer = told(answer, this.ending.as_ref());
                if !open.call.frames.seal() {
                    return this.finish(answer);
                }
                this.answer = Some(answer);
                this.wait = None;
            }
            if this.wait.is_none() {
                this.arm();
            }
            let Some((open, _)) = &this.parts else { continue };
            let Some(wait) = this.wait.as_mut() else { continue };
            let polled = in_runtime(&open.router.runtime, || wait.as_mut().poll(cx));
            let Poll::Ready(ended) = polled else { return Poll::Pending };
            this.wait = None;
            if let Some(answer) = this.on_ended(ended) {
                return this.finish(answer);
            }
        }
    }
}

impl Drop for RoutedCall {
    fn drop(&mut self) {
        let Some((open, mut callee)) = self.parked.leave() else { return };
        let runtime = open.router.runtime.clone();
        let _entered = runtime.enter();
        self.wait = None;
        if callee.future.is_none() {
            return;
        }
        open.call.frames.close();
        let stopping = open.call.caller.gone.load(Ordering::Acquire);
        open.call.cancel_tree(if stopping { CancelReason::Ended } else { CancelReason::Caller });
        // Second phase, with nobody left to wait for it: the callee gets its grace, then its future is dropped.
        runtime.spawn(async move {
            let call = Arc::clone(&open.call);
            let graceful = std::future::poll_fn(|cx| callee.poll(&call, cx));
            tokio::select! {
                _ = graceful => {}
                () = grace(Arc::clone(&call)) => {}
            }
            callee.drop_future(&call);
            drop(open);
        });
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
