//! The host as a test holds it: what answers in place of instances, what it says of them, what it looks at.

use super::fakes::{self, FakeOut};
use super::guard::entry;
use super::record::{LogRecord, Published, RecordedCall};
use super::shared::{Shared, lock};
use dispatch_contracts::Fault;
use dispatch_contracts::kernel::Dirs;
use serde_json::Value;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Runtime;

/// A host for tests. Cheap to clone; it is closed when the last handle and the last [`Opened`](super::Opened) are dropped.
///
/// The clock shows [`CLOCK_START_MS`](super::CLOCK_START_MS) until it is advanced or a `sleep` ends; ids count up from
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
        let shared = Arc::new(Shared::new(runtime.handle().clone()));
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
        lock(&self.shared().fakes).insert(verb.to_owned(), fakes::answered(answer));
    }

    /// Answers `verb` with a future that may emit frames, sleep and await; it runs on the host's own tokio runtime.
    pub fn on_stream<F, Fut>(&self, verb: &str, answer: F)
    where
        F: Fn(Value, FakeOut) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        let (runtime, records) = (self.shared().timers.clone(), Arc::clone(&self.shared().records));
        lock(&self.shared().fakes).insert(verb.to_owned(), fakes::streamed(runtime, records, answer));
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

    /// Every call that instances have made so far, in order.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.shared().records.calls()
    }

    /// The parameters of every call of `verb` so far, whoever made it; without `#target` = any target.
    pub fn calls_of(&self, verb: &str) -> Vec<Value> {
        let of_verb = |call: &RecordedCall| {
            call.verb == verb || call.verb.split_once('#').is_some_and(|(name, _)| name == verb)
        };
        self.calls().into_iter().filter(of_verb).map(|call| call.params).collect()
    }

    /// Every notification published so far, in order.
    pub fn published(&self) -> Vec<Published> {
        self.shared().records.published()
    }

    /// Every log record so far, in order.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.shared().records.logs()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

/// The directories of a host, below its temporary one.
const DIRS: [&str; 5] = ["config", "data", "state", "cache", "run"];

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
