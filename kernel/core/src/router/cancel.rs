//! Why a call is cancelled, how everybody concerned is told, and how long they have to answer.

use super::state::{CallState, CancelReason, Peer};
use dispatch_contracts::bounds::CALL_DEPTH_MAX;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Time between the two phases of cancelling; longer while calls made out of the cancelled one use theirs.
pub const CANCEL_GRACE: Duration = Duration::from_millis(500);

impl CallState {
    /// First phase of cancelling: tells the callee of this call, and of every call made out of it.
    pub(super) fn cancel_tree(&self, reason: CancelReason) {
        self.cancel_one(reason);
        let mut left = self.children.open();
        while let Some(child) = left.pop() {
            child.cancel_one(reason);
            left.extend(child.children.open());
        }
    }

    fn cancel_one(&self, reason: CancelReason) {
        if self.mark_cancelled(reason) {
            self.tell_cancelled();
        }
    }

    pub(super) fn tell_cancelled(&self) {
        if let Some(Peer::Extension(instance)) = self.callee.peer.get()
            && catch_unwind(AssertUnwindSafe(|| instance.cancel(self.id))).is_err()
        {
            tracing::error!(instance = %self.callee.id, "cancel panicked");
        }
    }

    /// The longest that it may take to answer once it was told to end. An inner call has less than the one around it.
    pub(super) fn grace_max(&self) -> Duration {
        CANCEL_GRACE * (CALL_DEPTH_MAX + 1).saturating_sub(self.depth).max(1)
    }
}

/// Ends when a call that was told to end has had its time: the grace, and another one as long as calls made out of it
/// use theirs, so that an outer call can always say what became of an inner one.
pub(super) async fn grace(call: Arc<CallState>) {
    let mut waited = Duration::ZERO;
    while waited < call.grace_max() {
        let made = call.children.made();
        tokio::time::sleep(CANCEL_GRACE).await;
        waited += CANCEL_GRACE;
        if !call.children.any_open() && call.children.made() == made {
            return;
        }
    }
}
