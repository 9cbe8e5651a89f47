//! A host in one test's memory: it opens extensions without a library and keeps the rules of the waist.
//!
//! It must not know core or any extension. A test says what a manifest would: [`FakeHost::set_requires`],
//! [`FakeHost::set_calls_in_flight_max`].

mod calls;
mod clock;
mod executor;
mod fakes;
mod guard;
mod handle;
mod limits;
mod opened;
mod record;
mod route;
mod slot;
mod streams;
#[cfg(test)]
mod tests;

pub use clock::CLOCK_START_MS;
pub use fakes::FakeOut;
pub use opened::{Opened, OpenedStream, TEST_CALLER};
pub use record::{LogRecord, Published, RecordedCall};

use calls::OpenCall;
use clock::Clock;
use dispatch_contracts::Fault;
use dispatch_contracts::bounds::CANCEL_GRACE_MS;
use dispatch_contracts::fault::{INVALID, UNAVAILABLE};
use dispatch_contracts::kernel::{Dirs, OpenParams};
use dispatch_sdk::Extension;
use dispatch_wire::result_from_abi;
use executor::Executor;
use fakes::FakeCallee;
use guard::{Guarded, entry};
use limits::ManifestLimits;
use record::Records;
use serde_json::Value;
use slot::{Life, Slot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

/// A host for tests. Cheap to clone; it is closed when the last handle and the last [`Opened`] are dropped.
///
/// The clock shows [`CLOCK_START_MS`] until it is advanced or a `sleep` ends; ids count up from
/// `00000000-0000-7000-8000-000000000001`. Inline code is polled on a plain thread, so that using tokio there fails
/// as it does in a loaded library.
#[derive(Clone)]
pub struct FakeHost {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    dirs: tempfile::TempDir,
}

/// What the host object of every instance points at.
struct Shared {
    executor: Executor,
    timers: Handle,
    clock: Arc<Clock>,
    grace_ms: AtomicU64,
    next_call_id: AtomicU64,
    calls: Mutex<HashMap<u64, Arc<OpenCall>>>,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    fakes: Mutex<HashMap<String, FakeCallee>>,
    identities: Mutex<BTreeSet<String>>,
    bound: Mutex<BTreeMap<String, String>>,
    limits: Mutex<BTreeMap<String, ManifestLimits>>,
    records: Records,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// A host with temporary directories, a clock that stands still and ids that count up.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fake-host-rt")
            .enable_all()
            .build()
            .expect("a test process can make a thread");
        let dirs = tempfile::tempdir().expect("a test process has a temporary directory");
        for name in DIRS {
            std::fs::create_dir(dirs.path().join(name)).expect("the temporary directory is new and empty");
        }
        let shared = Arc::new(Shared {
            executor: Executor::new(),
            timers: runtime.handle().clone(),
            clock: Arc::new(Clock::new()),
            grace_ms: AtomicU64::new(CANCEL_GRACE_MS),
            next_call_id: AtomicU64::new(0),
            calls: Mutex::default(),
            slots: Mutex::default(),
            fakes: Mutex::default(),
            identities: Mutex::default(),
            bound: Mutex::default(),
            limits: Mutex::default(),
            records: Records::default(),
        });
        Self { owner: Arc::new(Owner { shared, runtime: Some(runtime), dirs }) }
    }

    /// A host on which `sleep` ends only when [`FakeHost::advance_ms`] has moved the clock so far.
    pub fn with_manual_clock() -> Self {
        let host = Self::new();
        host.shared().clock.set_manual();
        host
    }

    /// Answers `verb` (wire name; without `#target` = any target) in place of an instance; replaces an earlier answer.
    pub fn on<F>(&self, verb: &str, answer: F)
    where
        F: Fn(Value) -> Result<Value, Fault> + Send + Sync + 'static,
    {
        lock(&self.shared().fakes).insert(verb.to_owned(), FakeCallee::Answer(Arc::new(answer)));
    }

    /// Answers `verb` with a future that may emit frames, sleep and await; it runs on the host's own tokio runtime.
    pub fn on_stream<F, Fut>(&self, verb: &str, answer: F)
    where
        F: Fn(Value, FakeOut) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        let answer = move |params, out| -> guard::BoxFuture<_> { Box::pin(answer(params, out)) };
        lock(&self.shared().fakes).insert(verb.to_owned(), FakeCallee::Stream(Arc::new(answer)));
    }

    /// Opens and starts an instance of `E`; from then on its verbs can be called by the others.
    ///
    /// Errors: `invalid` if `instance` is open already; whatever the extension's `open` or `start` answers.
    pub async fn open<E: Extension>(&self, instance: &str, config: Value) -> Result<Opened, Fault> {
        let params = OpenParams {
            instance: instance.to_owned(),
            config,
            dirs: self.dirs(),
            workers: 1,
            topic_queue_max: 4096,
        };
        let shared = Arc::clone(self.shared());
        if shared.slot(instance).is_some() {
            return Err(Fault::new(INVALID, format!("`{instance}` is open already; stop it first")));
        }
        let life = Arc::<Life>::default();
        let object = handle::host_object(&shared, instance, &life);
        let config = serde_json::to_vec(&params).expect("open parameters always encode");
        let opened = shared
            .on_executor("`open`", move || {
                std::future::ready(dispatch_sdk::__private::open::<E>(object, config.into()))
            })
            .await?;
        let object = result_from_abi(opened)?;
        let slot = Arc::new(Slot { id: instance.to_owned(), object, started: OnceLock::new(), life });
        lock(&shared.slots).insert(instance.to_owned(), Arc::clone(&slot));
        match self.start(&slot).await {
            Ok(()) => Ok(Opened::new(self.clone(), slot)),
            Err(fault) => {
                shared.remove(instance);
                Err(fault)
            }
        }
    }

    async fn start(&self, slot: &Arc<Slot>) -> Result<(), Fault> {
        let starting = Arc::clone(slot);
        let started = self.shared().on_executor("`start`", move || starting.object.start()).await?;
        slot.has_started(&result_from_abi(started)?)
    }

    /// The directories that instances are opened with; gone when the host is.
    pub fn dirs(&self) -> Dirs {
        let at = |name: &str| self.owner.dirs.path().join(name).to_string_lossy().into_owned();
        Dirs {
            config: at("config"),
            data: at("data"),
            state: at("state"),
            cache: at("cache"),
            run: at("run"),
            exe: at("dispatch"),
            ..Dirs::default()
        }
    }

    /// The temporary directory above all of them.
    pub fn temp_dir(&self) -> &Path {
        self.owner.dirs.path()
    }

    /// Moves the clock.
    pub fn advance_ms(&self, ms: u64) {
        self.shared().clock.advance_ms(ms);
    }

    /// Unix milliseconds on the host's clock.
    pub fn now_ms(&self) -> u64 {
        self.shared().clock.now_ms()
    }

    /// Sets the time between cancelling a call and dropping it; 500 ms by default.
    pub fn set_cancel_grace_ms(&self, ms: u64) {
        self.shared().grace_ms.store(ms, Ordering::Release);
    }

    /// Gives `instance` the capability `identity`: it may say whom its root calls are for, and where they work.
    pub fn grant_identity(&self, instance: &str) {
        lock(&self.shared().identities).insert(instance.to_owned());
    }

    /// Says which of several instances answers a contract, as `bind` of a build does.
    pub fn bind(&self, contract: &str, instance: &str) {
        lock(&self.shared().bound).insert(contract.to_owned(), instance.to_owned());
    }

    /// Says which contracts `instance` may call, as `requires` and `optional` of a manifest do; unsaid, it may call all.
    pub fn set_requires(&self, instance: &str, contracts: &[&str]) {
        let contracts = contracts.iter().map(|contract| (*contract).to_owned()).collect();
        lock(&self.shared().limits).entry(instance.to_owned()).or_default().requires = Some(contracts);
    }

    /// Says how many calls `instance` answers at once, as `limits.calls_in_flight_max` does; 256 unless it is said.
    pub fn set_calls_in_flight_max(&self, instance: &str, max: u32) {
        lock(&self.shared().limits).entry(instance.to_owned()).or_default().calls_in_flight_max = Some(max);
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

/// The directories of a host, below its temporary one.
const DIRS: [&str; 5] = ["config", "data", "state", "cache", "run"];

impl Shared {
    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Arc<OpenCall>>> {
        lock(&self.calls)
    }

    fn slot(&self, instance: &str) -> Option<Arc<Slot>> {
        lock(&self.slots).get(instance).cloned()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.slots).values().cloned().collect()
    }

    /// Takes an instance out; its calls in flight go on to their end.
    fn remove(&self, instance: &str) {
        let slot = lock(&self.slots).remove(instance);
        // The last handle may run author code in its drop.
        let _ = entry("the drop of an instance", || drop(slot));
    }

    fn fake(&self, verb: &str) -> Option<FakeCallee> {
        lock(&self.fakes).get(verb).cloned()
    }

    fn has_identity(&self, instance: &str) -> bool {
        lock(&self.identities).contains(instance)
    }

    fn bound(&self, contract: &str) -> Option<String> {
        lock(&self.bound).get(contract).cloned()
    }

    /// Runs `make` and the future it gives on the host's plain thread.
    async fn on_executor<T, F, Fut>(&self, what: &str, make: F) -> Result<T, Fault>
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close_calls();
        let slots = std::mem::take(&mut *lock(&self.shared.slots));
        let _ = entry("the drop of an instance", || drop(slots));
        self.shared.executor.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
