//! Watches of a store by caller: what `storage.v1/watch` does once its store knows that something changed.
//!
//! They must not know how anything is kept. A tick that nobody has taken yet stands for all that come after it.

use crate::Call;
use dispatch_contracts::fault::OVERLOADED;
use dispatch_contracts::storage::{WATCH_TICK_MS_MIN, WATCHES_MAX, WatchTick};
use dispatch_contracts::{Empty, Fault};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

const OVERLOADED_RETRY_AFTER_MS: u64 = 1000;

/// The open watches of one store; at most [`WATCHES_MAX`].
#[derive(Default)]
pub struct Watches {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<String, Vec<Arc<Notify>>>,
    n_open: usize,
    /// Why all of them end.
    over: Option<Fault>,
}

impl Watches {
    /// Begins a watch for `caller`; whatever changes from now on ticks. It ends when it is dropped.
    ///
    /// Errors: `overloaded`; what [`Watches::end`] was given.
    pub fn begin(self: &Arc<Self>, caller: &str) -> Result<Watch, Fault> {
        let changed = Arc::new(Notify::new());
        let mut state = self.lock();
        if let Some(fault) = &state.over {
            return Err(fault.clone());
        }
        if state.n_open == WATCHES_MAX {
            let message =
                format!("{WATCHES_MAX} watches of the store are open; share one within the instance");
            let detail = json!({ "retry_after_ms": OVERLOADED_RETRY_AFTER_MS });
            return Err(Fault::new(OVERLOADED, message).with_detail(detail));
        }
        state.n_open += 1;
        state.open.entry(caller.to_owned()).or_default().push(Arc::clone(&changed));
        Ok(Watch { watches: Arc::clone(self), caller: caller.to_owned(), changed })
    }

    /// Something changed in `caller`'s namespace.
    pub fn changed(&self, caller: &str) {
        self.lock().open.get(caller).into_iter().flatten().for_each(|changed| changed.notify_one());
    }

    /// Something changed, nobody knows in whose namespace.
    pub fn all_changed(&self) {
        self.lock().open.values().flatten().for_each(|changed| changed.notify_one());
    }

    /// Whether any watch is open.
    pub fn any(&self) -> bool {
        self.lock().n_open > 0
    }

    /// Ends all watches, and those that come, with `fault`; the first one stays.
    pub fn end(&self, fault: Fault) {
        self.lock().over.get_or_insert(fault);
        self.all_changed();
    }

    fn over(&self) -> Option<Fault> {
        self.lock().over.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open watch.
pub struct Watch {
    watches: Arc<Watches>,
    caller: String,
    changed: Arc<Notify>,
}

impl Watch {
    /// Emits a tick at once, and one after each change, until the call is cancelled or the store ends.
    pub async fn run(self, call: &Call) -> Result<Empty, Fault> {
        loop {
            call.emit(&WatchTick {}).await?;
            let tick_due = async {
                tokio::time::sleep(Duration::from_millis(WATCH_TICK_MS_MIN)).await;
                self.changed.notified().await;
            };
            tokio::select! {
                () = tick_due => {}
                () = call.cancelled() => return Ok(Empty {}),
            }
            if let Some(fault) = self.watches.over() {
                return Err(fault);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.watches.lock();
        state.n_open -= 1;
        if let Some(open) = state.open.get_mut(&self.caller) {
            open.retain(|changed| !Arc::ptr_eq(changed, &self.changed));
            if open.is_empty() {
                state.open.remove(&self.caller);
            }
        }
    }
}
