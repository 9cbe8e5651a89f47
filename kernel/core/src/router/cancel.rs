//! Why a call is cancelled, and how everybody concerned is told.

use super::Router;
use super::call::CallState;
use super::endpoint::Peer;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call was told to end. Calls made out of it are told the same; the first reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Its caller cancelled it, or has gone.
    Caller,
    /// Its budget ran out.
    Deadline,
    /// It showed no sign of life for the verb's limit of silence.
    Silence,
    /// The caller or the callee is being stopped, or the host is.
    Ended,
}

impl Router {
    /// First phase of cancelling: tells the callee of this call, and of every call made out of it.
    pub(super) fn cancel_tree(&self, call: &CallState, reason: CancelReason) {
        cancel_one(call, reason);
        for child in self.calls.find(|other| other.descends_from(call.id)) {
            cancel_one(&child, reason);
        }
    }
}

fn cancel_one(call: &CallState, reason: CancelReason) {
    if call.mark_cancelled(reason) {
        tell_cancelled(call);
    }
}

pub(super) fn tell_cancelled(call: &CallState) {
    if let Some(Peer::Extension(instance)) = call.callee.peer.get()
        && catch_unwind(AssertUnwindSafe(|| instance.cancel(call.id))).is_err()
    {
        tracing::error!(instance = %call.callee.id, "cancel panicked");
    }
}
