//! Calls that nobody drives: a caller that holds a call and does not poll it cannot keep it beyond its limits.
//!
//! A call that is awaited ends by itself, and earlier; this only finds what its caller has forgotten.

use super::cancel::CANCEL_GRACE;
use super::state::{CallState, CancelReason, Router};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::DEADLINE;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it is looked for forgotten calls.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a call gets above its limits before it counts as forgotten.
const SLACK: Duration = Duration::from_millis(250);

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
        let _entered = self.runtime.enter();
        parked.take_away(call, fault)
    }
}
