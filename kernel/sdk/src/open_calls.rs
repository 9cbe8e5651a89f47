//! The calls that one instance is answering, and which of them have been cancelled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The open calls by their ids.
#[derive(Default)]
pub(crate) struct OpenCalls {
    calls: Mutex<HashMap<u64, Arc<CallState>>>,
}

impl OpenCalls {
    /// Enters a call, until what comes back is dropped.
    pub(crate) fn open(self: &Arc<Self>, call_id: u64) -> OpenCall {
        let state = Arc::new(CallState::default());
        self.lock().insert(call_id, Arc::clone(&state));
        OpenCall { calls: Arc::clone(self), call_id, state }
    }

    /// Tells a call that it is cancelled; one that is over has nobody to tell.
    pub(crate) fn cancel(&self, call_id: u64) {
        let state = self.lock().get(&call_id).cloned();
        if let Some(state) = state {
            state.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<CallState>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an open call has been cancelled.
#[derive(Default)]
pub(crate) struct CallState {
    cancelled: AtomicBool,
    changed: Notify,
}

impl CallState {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_cancelled() {
                return;
            }
            changed.await;
        }
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// An entry in the table of open calls, taken out when the call's future is dropped.
pub(crate) struct OpenCall {
    calls: Arc<OpenCalls>,
    call_id: u64,
    state: Arc<CallState>,
}

impl OpenCall {
    pub(crate) fn state(&self) -> Arc<CallState> {
        Arc::clone(&self.state)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.call_id);
    }
}
