//! Calls that do not run to their own end, and what ends with them.

use super::open_call::{Callee, Caller, Cause, OpenCall, Phase};
use super::shared::Shared;
use super::slot::Slot;
use std::sync::Arc;

impl Shared {
    /// Cancels a call and, with it, every call made out of it.
    pub(super) fn cancel(&self, call: &OpenCall, cause: Cause) {
        if call.cancel(cause) {
            self.cancel_children(call.id);
        }
    }

    /// Cancels every call made out of it.
    pub(super) fn cancel_children(&self, parent_id: u64) {
        let children: Vec<_> =
            self.calls().values().filter(|call| call.parent_id == parent_id).cloned().collect();
        for child in children {
            self.cancel(&child, Cause::Cancelled);
        }
    }

    /// Ends every open call without grace. All are marked before any is told, so that none answers in between.
    pub(super) fn close_calls(&self) {
        let open: Vec<_> = self.calls().values().cloned().collect();
        break_off(&open, Cause::HostClosed);
    }

    /// Ends what a killed instance answered, without grace, and waits for the end of what it had asked of others: they
    /// live, and do it whole or not at all.
    pub(super) async fn end_calls_of_killed(&self, slot: &Arc<Slot>) {
        let open: Vec<_> = self.calls().values().cloned().collect();
        let is = |other: &Arc<Slot>| Arc::ptr_eq(other, slot);
        let (answered, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|call| matches!(&call.callee, Callee::Instance(callee) if is(callee)));
        break_off(&answered, Cause::Killed);
        let asked =
            others.iter().filter(|call| matches!(&call.caller, Caller::Instance(caller) if is(caller)));
        for call in asked {
            self.cancel(call, Cause::Cancelled);
            call.over().await;
        }
        for call in &answered {
            call.over().await;
        }
    }
}

fn break_off(calls: &[Arc<OpenCall>], cause: Cause) {
    for call in calls {
        let mut state = call.lock();
        if state.phase != Phase::Over {
            state.phase = Phase::Cancelled(cause);
        }
    }
    for call in calls {
        call.changed.notify_waiters();
    }
}
