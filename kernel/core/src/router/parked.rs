//! Where the parts of a call lie between two polls of its caller, and what somebody else finds there.
//!
//! It must not know who looks, or why.

use super::callee::{Answer, Callee, OpenCall};
use super::state::{CallState, Parts};
use dispatch_contracts::Fault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

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
        let weak: Weak<Self> = Arc::downgrade(&parked);
        call.set_parked(weak);
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

impl Parts for Parked {
    fn take_away(&self, call: &CallState, fault: Fault) -> bool {
        // Nothing there: it is being polled this very moment, and so not forgotten.
        let Some((open, mut callee)) = self.look() else { return false };
        let answered = callee.has_answered(call);
        if answered && call.frames.seal() {
            // The last frames are on their way; the answer comes after them.
            self.looked(Ok((open, callee)));
            return false;
        }
        callee.drop_future(call);
        let answer = callee.take_answer().unwrap_or(Err(fault));
        open.router.note_answer(call, &answer);
        // Closed before its caller knows: whoever has the answer finds nothing open.
        drop(open);
        self.looked(Err(answer));
        !answered
    }
}
