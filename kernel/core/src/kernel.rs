//! The running kernel: instances activated in order, rolled back when they fail, stopped in reverse.
//!
//! It must not know what any instance is for.

mod activate;
mod attach;
mod contributions;
mod engines;
mod foreign;
mod health;
mod ops;
mod ports;
mod reading;
mod records;
mod service;
mod shared;
mod trust;
mod turn_tools;

pub use attach::{Attached, AttachedCall, Frame, HostedService};
pub use trust::{Trust, TrustNothing};

use crate::clock::Clock;
use crate::router::{CallRecord, Listener, Notification, Router};
use dispatch_compose::Plan;
use dispatch_contracts::Verb;
use dispatch_contracts::command::CommandSpec;
use dispatch_contracts::kernel::{Dirs, InventoryReply};
use dispatch_load::LibraryCache;
use dispatch_load::crash::CrashReports;
use dispatch_load::host_lock::{self, HostLock, Lock};
use dispatch_turn::ToolPolicy;
use records::{Record, RecordState};
use shared::Shared;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// What a kernel is booted with.
pub struct BootOptions {
    /// Absolute directories, made if need be.
    pub dirs: Dirs,
    /// The host's runtime.
    pub runtime: Handle,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Most verbose log level that anybody reads, 1 (error) to 5 (trace).
    pub log_level_max: u8,
    /// What tools may do.
    pub policy: ToolPolicy,
    /// Which directories a person trusts.
    pub trust: Arc<dyn Trust>,
}

/// What an instance that is being opened or started has to come to its own end once the host was told to end.
pub const END_START_WITHIN: Duration = Duration::from_secs(5);

/// A running host. Dropping it without [`Kernel::stop`] ends no instance in order.
pub struct Kernel {
    shared: Arc<Shared>,
    lock: HostLock,
    crash_reports: CrashReports,
}

/// Instances without which the build must not run have failed; everything has been stopped again.
#[derive(Debug)]
pub struct BootError {
    /// One line for each.
    pub reasons: Vec<String>,
}

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.reasons.join("\n"))
    }
}

impl std::error::Error for BootError {}

impl Kernel {
    /// Activates every instance of the plan in order.
    ///
    /// An instance that fails is rolled back and disabled with the reason, and so is what depends on it; the rest runs.
    /// Errors: an instance marked `required` did not start; everything has been stopped again.
    pub async fn boot(plan: Plan, options: BootOptions) -> Result<Self, BootError> {
        Self::boot_until(plan, options, std::future::pending()).await
    }

    /// The same, given up when `told_to_end` is ready, as by a signal: what is being opened or started has
    /// [`END_START_WITHIN`] to come to its own end, and then all that has started is stopped in reverse order. One that
    /// does not come back is left behind and named.
    ///
    /// Errors: as [`Kernel::boot`]; or it was told to end, with the instance that was being started.
    pub async fn boot_until(
        plan: Plan,
        options: BootOptions,
        told_to_end: impl Future<Output = ()> + Send,
    ) -> Result<Self, BootError> {
        let refuse = |reason: String| BootError { reasons: vec![reason] };
        let host_id = options.clock.new_id();
        let lock = HostLock::take(Path::new(&options.dirs.state), &host_id).map_err(refuse)?;
        let crash_reports = CrashReports::open(Path::new(&options.dirs.state), &host_id)
            .map_err(|e| refuse(format!("cannot keep crash reports in {}: {e}", options.dirs.state)))?;
        let state_dir = Path::new(&options.dirs.state);
        let crashes = crash_reports.earlier(|host_id| host_lock::look(state_dir, host_id) == Ok(Lock::Held));
        let cache = LibraryCache::open(Path::new(&options.dirs.cache), Path::new(&options.dirs.exe));
        let cache = Arc::new(cache.map_err(refuse)?);
        let router = Router::new(options.clock, options.runtime, options.log_level_max);
        let shared = Arc::new(Shared {
            router,
            dirs: options.dirs,
            host_id,
            policy: options.policy,
            binds: plan.binds,
            records: Mutex::default(),
            contributed: AtomicU64::new(0),
            starting: Mutex::default(),
            turns: Mutex::default(),
            engine_turns: Mutex::default(),
            trust: options.trust,
            reported: Notify::new(),
            own: std::sync::OnceLock::new(),
        });
        service::install(&shared);
        shared.router.watch_for_abandoned();
        let kernel = Self { shared, lock, crash_reports };
        let mut told_to_end = pin!(told_to_end);
        for planned in plan.instances {
            let id = planned.id.clone();
            let mut activating = Box::pin(activate::activate(&kernel.shared, &cache, &crashes, planned));
            tokio::select! {
                biased;
                () = &mut told_to_end => {}
                () = &mut activating => continue,
            }
            let mut reason = format!("the host was told to end while `{id}` was being started");
            // What it has taken by now is given back by its `stop` alone, and only one that stands in the records has one.
            if tokio::time::timeout(END_START_WITHIN, activating).await.is_err() {
                let within_ms = END_START_WITHIN.as_millis();
                reason.push_str(&format!(", which did not end within {within_ms} ms and is left behind"));
            }
            kernel.stop().await;
            return Err(refuse(reason));
        }
        let reasons = kernel.required_but_disabled();
        if reasons.is_empty() {
            return Ok(kernel);
        }
        kernel.stop().await;
        Err(BootError { reasons })
    }

    /// What this host is made of.
    pub fn inventory(&self) -> InventoryReply {
        self.shared.inventory()
    }

    /// Commands that active instances contribute, sorted by name.
    pub fn commands(&self) -> Vec<CommandSpec> {
        let records = self.shared.records();
        let mut commands: Vec<_> = records.iter().flat_map(|r| r.contributes.commands.clone()).collect();
        commands.sort_by(|a, b| a.name.cmp(&b.name));
        commands
    }

    /// Ids of the active instances that serve `verb` (wire name without target), in order of activation.
    pub fn serving(&self, verb: &str) -> Vec<String> {
        let records = self.shared.records();
        let serves = |record: &&Record| {
            matches!(record.state, RecordState::Active) && record.endpoint.verbs.load().contains_key(verb)
        };
        records.iter().filter(serves).map(|record| record.planned.id.clone()).collect()
    }

    /// Attaches a party without a library, such as the host binary: it can call anything, and answers one verb.
    pub fn attach<V: Verb, S: HostedService<V>>(&self, id: &str, service: S) -> Attached {
        attach::attach(&self.shared, id, service)
    }

    /// Ends every turn that runs in this process as `interrupted`, as when the host goes down; answers how many.
    ///
    /// They write their ends down before they are over.
    pub fn interrupt_turns(&self) -> usize {
        self.shared.interrupt_turns()
    }

    /// A record of each call from now on, until the listener is dropped. Off it costs a call one relaxed load.
    pub fn listen_to_calls(&self) -> Listener<CallRecord> {
        self.shared.router.listen_to_calls()
    }

    /// What instances publish on these topics (`<instance>.<word>`) from now on, until the listener is dropped.
    pub fn listen_to_topics(&self, topics: &[&str]) -> Listener<Notification> {
        self.shared.router.listen_to_topics(topics.iter().map(|topic| (*topic).to_owned()).collect())
    }

    /// Stops every instance in reverse order, each within a bounded time.
    pub async fn stop(self) {
        let ids: Vec<String> = self.shared.records().iter().rev().map(|r| r.planned.id.clone()).collect();
        for id in ids {
            activate::deactivate(&self.shared, &id).await;
        }
        drop((self.crash_reports, self.lock));
    }

    /// Why the build must not run: each failure once, and in a last line who only followed from it.
    fn required_but_disabled(&self) -> Vec<String> {
        let records = self.shared.records();
        let reason = |record: &Record| match &record.state {
            RecordState::Disabled(reason) => Some(reason.clone()),
            RecordState::Active => None,
        };
        let is_disabled = |id: &String| records.iter().any(|r| r.planned.id == *id && reason(r).is_some());
        let follows = |record: &Record| record.planned.dependencies.iter().any(is_disabled);
        let required_only = |record: &&Record| record.planned.required && reason(record).is_some();
        let followers: Vec<String> = records
            .iter()
            .filter(required_only)
            .filter(|record| follows(record))
            .map(|record| format!("`{}`", record.planned.id))
            .collect();
        let causes = records.iter().filter(|r| !follows(r) && (r.planned.required || !followers.is_empty()));
        let mut lines: Vec<String> = causes
            .filter_map(|record| {
                let (id, reason) = (&record.planned.id, reason(record)?);
                Some(match record.planned.required {
                    true => format!("the build requires `{id}`, which did not start: {reason}"),
                    false => format!("`{id}` did not start: {reason}"),
                })
            })
            .collect();
        if !followers.is_empty() {
            lines.push(format!("without it the build's {} cannot start either", followers.join(", ")));
        }
        lines
    }
}
