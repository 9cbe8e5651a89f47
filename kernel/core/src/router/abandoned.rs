//! Calls that nobody drives: a caller that holds a call and does not poll it cannot keep it beyond its limits.
//!
//! A call that is awaited ends by itself, and earlier; this only finds what its caller has forgotten.

use super::call::CallState;
use super::cancel::CancelReason;
use super::drive::{Answer, Callee, OpenCall};
use super::{CANCEL_GRACE, Router};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::DEADLINE;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often it is looked for forgotten calls.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a call gets above its limits before it counts as forgotten.
const SLACK: Duration = Duration::from_millis(250);

/// Where a call's parts lie between two polls.
#[derive(Default)]
pub(super) struct Parked {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parts: Option<(OpenCall, Callee)>,
    /// Somebody else than the caller has the parts, for one look: foreign code runs meanwhile.
    looking: bool,
    /// Set when the parts were taken away for good: what the caller is told when it looks.
    ended: Option<Answer>,
    /// The caller that waits, to be told when a look is over.
    waker: Option<Waker>,
}

/// What a caller finds when it polls.
pub(super) enum Found {
    Parts(OpenCall, Callee),
    /// It is woken when it is worth another poll.
    Looking,
    Ended(Answer),
    Nothing,
}

impl Parked {
    pub(super) fn of(open: OpenCall, callee: Callee) -> Arc<Self> {
        let call = Arc::clone(&open.call);
        let parked = Arc::new(Self::default());
        parked.lock().parts = Some((open, callee));
        call.set_parked(Arc::downgrade(&parked));
        parked
    }

    /// For one poll of the caller.
    pub(super) fn take(&self, waker: &Waker) -> Found {
        let mut state = self.lock();
        if state.looking {
            state.waker = Some(waker.clone());
            return Found::Looking;
        }
        match (state.parts.take(), state.ended.take()) {
            (Some((open, callee)), _) => Found::Parts(open, callee),
            (None, Some(answer)) => Found::Ended(answer),
            (None, None) => Found::Nothing,
        }
    }

    /// The caller waits for the callee.
    pub(super) fn put_back(&self, parts: Option<(OpenCall, Callee)>, waker: &Waker) {
        let mut state = self.lock();
        state.parts = parts;
        match &mut state.waker {
            Some(last) => last.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// The caller has gone. A look that goes on ends the call.
    pub(super) fn leave(&self) -> Option<(OpenCall, Callee)> {
        let mut state = self.lock();
        state.waker = None;
        state.parts.take()
    }

    /// For a look by somebody else than the caller; [`Parked::looked`] must follow.
    fn look(&self) -> Option<(OpenCall, Callee)> {
        let mut state = self.lock();
        let parts = state.parts.take();
        state.looking = parts.is_some();
        parts
    }

    /// What the look came to: the parts again, or the end.
    fn looked(&self, found: Result<(OpenCall, Callee), Answer>) {
        let waker = {
            let mut state = self.lock();
            state.looking = false;
            match found {
                Ok(parts) => state.parts = Some(parts),
                Err(answer) => state.ended = Some(answer),
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// Looks for forgotten calls as long as the router lives.
    pub(crate) fn watch_for_abandoned(self: &Arc<Self>) {
        let router: Weak<Self> = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(router) = router.upgrade() else { return };
                router.end_abandoned(Instant::now());
            }
        });
    }

    /// Cancels what is beyond its limits, and takes away what was given its grace and is still there.
    pub(super) fn end_abandoned(&self, now: Instant) {
        let beyond = |call: &CallState, extra: Duration| call.due_at().is_some_and(|due| due + extra < now);
        for call in self.calls.find(|call| beyond(call, SLACK)) {
            let grace = if call.children.any_open() { call.grace_max() } else { CANCEL_GRACE };
            if !beyond(&call, SLACK + grace) {
                call.cancel_tree(call.limit_passed(now).unwrap_or(CancelReason::Caller));
                continue;
            }
            let message = format!(
                "`{}` was held beyond its limits by `{}`, which did not drive it",
                call.verb, call.caller.id
            );
            if self.take_away(&call, Fault::new(DEADLINE, message)) {
                tracing::warn!(verb = %call.verb, caller = %call.caller.id, "a forgotten call was ended");
            }
        }
    }

    /// Ends a call that nobody drives; its caller finds what it answered, or `fault`. True if it was `fault`.
    pub(super) fn take_away(&self, call: &CallState, fault: Fault) -> bool {
        let Some(parked) = call.parked() else { return false };
        // Nothing there: it is being polled this very moment, and so not forgotten.
        let Some((open, mut callee)) = parked.look() else { return false };
        let _entered = self.runtime.enter();
        let answered = callee.has_answered(call);
        if answered && call.frames.seal() {
            // The last frames are on their way; the answer comes after them.
            parked.looked(Ok((open, callee)));
            return false;
        }
        callee.drop_future(call);
        let answer = callee.take_answer().unwrap_or(Err(fault));
        self.note_answer(call, &answer);
        // Closed before its caller knows: whoever has the answer finds nothing open.
        drop(open);
        parked.looked(Err(answer));
        !answered
    }
}
