//! The end of a party: what it still has open, whether it makes or answers it, ends before it does.

use super::cancel::CANCEL_GRACE;
use super::state::{CallState, CancelReason, Endpoint, Router, Slot};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::CANCELLED;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often it is looked whether a stopped party's calls are over.
const END_LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a party is waited for that was told to end its calls: the grace of a few nested calls, and a little.
const END_WAIT_MAX: Duration = Duration::from_millis(2_200);

const _: () = assert!(END_WAIT_MAX.as_millis() > 4 * CANCEL_GRACE.as_millis());

impl Router {
    /// No new call reaches `endpoint`, and what it answers now is told to end and given the time for it.
    ///
    /// Calls back to it go on: they belong to calls of its own, which it may still want to end in order.
    pub(crate) async fn end_calls_to(&self, endpoint: &Arc<Endpoint>) {
        endpoint.gone.store(true, Ordering::Release);
        self.end_calls(|call| Arc::ptr_eq(&call.callee, endpoint) && call.slot != Slot::Back).await;
    }

    /// Ends what a stopped party still has open, whether it makes or answers it, and lets it make no call any more.
    pub(crate) async fn end_calls_of(&self, endpoint: &Arc<Endpoint>) {
        endpoint.stopped.store(true, Ordering::Release);
        let of_it =
            |call: &CallState| Arc::ptr_eq(&call.callee, endpoint) || Arc::ptr_eq(&call.caller, endpoint);
        self.end_calls(of_it).await;
        for call in self.calls.find(of_it) {
            let message = format!("`{}` has been stopped while `{}` was open", endpoint.id, call.verb);
            self.take_away(&call, Fault::new(CANCELLED, message));
        }
    }

    async fn end_calls(&self, which: impl Fn(&CallState) -> bool) {
        for call in self.calls.find(&which) {
            call.cancel_tree(CancelReason::Ended);
        }
        let until = Instant::now() + END_WAIT_MAX;
        // One that nobody drives stays open meanwhile.
        while Instant::now() < until && !self.calls.find(&which).is_empty() {
            tokio::time::sleep(END_LOOK_EVERY).await;
        }
    }
}
