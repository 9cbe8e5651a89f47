//! What a host holds: its instances, its open calls, its clock, and what the test has said of each instance.
//!
//! It must not know how a call is routed or ends.

use super::clock::Clock;
use super::executor::Executor;
use super::guard::{Guarded, entry};
use super::open_call::{Fake, OpenCall};
use super::record::Records;
use super::slot::Slot;
use dispatch_contracts::Fault;
use dispatch_contracts::bounds::CANCEL_GRACE_MS;
use dispatch_contracts::fault::UNAVAILABLE;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the host object of every instance points at.
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) timers: Handle,
    pub(super) clock: Arc<Clock>,
    pub(super) grace_ms: AtomicU64,
    pub(super) next_call_id: AtomicU64,
    pub(super) calls: Mutex<HashMap<u64, Arc<OpenCall>>>,
    pub(super) slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    pub(super) fakes: Mutex<HashMap<String, Fake>>,
    pub(super) identities: Mutex<BTreeSet<String>>,
    pub(super) bound: Mutex<BTreeMap<String, String>>,
    pub(super) limits: Mutex<BTreeMap<String, ManifestLimits>>,
    pub(super) records: Arc<Records>,
}

/// What the manifest of an instance says, as far as the router reads it.
#[derive(Default)]
pub(super) struct ManifestLimits {
    /// Contracts it may call; `None` = the test does not say, and it may call all.
    pub(super) requires: Option<BTreeSet<String>>,
    pub(super) calls_in_flight_max: Option<u32>,
}

impl Shared {
    /// A host without instances, whose timers run on `timers`.
    pub(super) fn new(timers: Handle) -> Self {
        Self {
            executor: Executor::new(),
            timers,
            clock: Arc::new(Clock::new()),
            grace_ms: AtomicU64::new(CANCEL_GRACE_MS),
            next_call_id: AtomicU64::new(0),
            calls: Mutex::default(),
            slots: Mutex::default(),
            fakes: Mutex::default(),
            identities: Mutex::default(),
            bound: Mutex::default(),
            limits: Mutex::default(),
            records: Arc::default(),
        }
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, HashMap<u64, Arc<OpenCall>>> {
        lock(&self.calls)
    }

    pub(super) fn slot(&self, instance: &str) -> Option<Arc<Slot>> {
        lock(&self.slots).get(instance).cloned()
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.slots).values().cloned().collect()
    }

    /// Takes an instance out; its calls in flight go on to their end.
    pub(super) fn remove(&self, instance: &str) {
        let slot = lock(&self.slots).remove(instance);
        // The last handle may run author code in its drop.
        let _ = entry("the drop of an instance", || drop(slot));
    }

    pub(super) fn fake(&self, verb: &str) -> Option<Fake> {
        lock(&self.fakes).get(verb).cloned()
    }

    pub(super) fn has_identity(&self, instance: &str) -> bool {
        lock(&self.identities).contains(instance)
    }

    pub(super) fn bound(&self, contract: &str) -> Option<String> {
        lock(&self.bound).get(contract).cloned()
    }

    /// Runs `make` and the future it gives on the host's plain thread.
    pub(super) async fn on_executor<T, F, Fut>(&self, what: &str, make: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let (sender, received) = oneshot::channel();
        let future = Guarded::new(what.to_owned(), Box::pin(async move { Ok(make().await) }));
        self.executor.spawn(async move {
            // The test may have given up waiting.
            let _ = sender.send(future.await);
        });
        received.await.unwrap_or_else(|_| Err(Fault::new(UNAVAILABLE, "the host has been closed")))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
