//! Drives one call to its end: deadline, silence, cancelling in two phases.

use super::callee::{Answer, Callee, OpenCall};
use super::cancel::grace;
use super::parked::{Found, Parked};
use super::state::{CallState, CancelReason};
use crate::guard::in_runtime;
use dispatch_abi::SharedBytes;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CANCELLED, DEADLINE, PANICKED};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

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
        if callee.is_over() {
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
