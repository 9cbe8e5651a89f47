//! An endpoint: one party that calls and is called; an extension's instance, or a service of the kernel itself.

use super::frames::TakesFrames;
use super::state::{Endpoint, NativeService, Peer};
use arc_swap::ArcSwap;
use dispatch_abi::SharedBytes;
use dispatch_abi::abi_stable::std_types::RSlice;
use dispatch_contracts::Limits;
use dispatch_contracts::kernel::{HEALTH_REASON_BYTES_MAX, HealthState, ReportParams, VerbInfo};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Limits of a verb that the callee never described: it is answered `unknown_verb` at once.
const UNDESCRIBED: Limits = Limits::short(5_000);

/// Most bytes kept of a panic's message.
const PANIC_BYTES_MAX: usize = 1024;

impl Endpoint {
    pub(crate) fn new(
        id: &str,
        may_call: Option<HashSet<String>>,
        identity: bool,
        calls_in_flight_max: u32,
    ) -> Self {
        Self {
            id: id.to_owned(),
            may_call,
            manifest_hint: String::new(),
            identity,
            calls_in_flight_max,
            peer: OnceLock::new(),
            verbs: ArcSwap::default(),
            streams: Mutex::default(),
            gone: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            calls_in_flight: AtomicU32::new(0),
            long_calls: Mutex::default(),
            calls: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            last_panic: Mutex::default(),
            overloaded: AtomicU64::new(0),
            health: Mutex::new(ReportParams { state: HealthState::Ok, reason: String::new() }),
        }
    }

    pub(crate) fn native(id: &str, service: Arc<dyn NativeService>, identity: bool) -> Arc<Self> {
        let endpoint = Self::new(id, None, identity, u32::MAX);
        endpoint.verbs.store(Arc::new(by_name(service.verbs())));
        endpoint.peer.set(Peer::Native(service)).ok();
        Arc::new(endpoint)
    }

    pub(crate) fn set_verbs(&self, verbs: Vec<VerbInfo>) {
        self.verbs.store(Arc::new(by_name(verbs)));
    }

    /// Counts a panic of its code, in a call or outside, and keeps what it said.
    pub(crate) fn note_panic(&self, text: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let text = &text[..text.floor_char_boundary(PANIC_BYTES_MAX)];
        text.clone_into(&mut self.last_panic.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes its word on how it stands; after `failed` there is no other.
    pub(crate) fn note_health(&self, mut report: ReportParams) {
        report.reason.truncate(report.reason.floor_char_boundary(HEALTH_REASON_BYTES_MAX));
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.state != HealthState::Failed {
            *health = report;
        }
    }

    pub(crate) fn health(&self) -> ReportParams {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn may_call(&self, contract: &str) -> bool {
        self.may_call.as_ref().is_none_or(|contracts| contracts.contains(contract))
    }

    /// Limits and mode of a verb it serves; `(limits, inline)`.
    pub(crate) fn limits_of(&self, name: &str) -> (Limits, bool) {
        match self.verbs.load().get(name) {
            Some(info) => (info.limits, info.mode == dispatch_contracts::Mode::Inline),
            None => (UNDESCRIBED, true),
        }
    }
}

impl TakesFrames for Endpoint {
    fn take(&self, stream_id: u64, batch: &[SharedBytes]) {
        let Some(Peer::Extension(instance)) = self.peer.get() else { return };
        let handed =
            catch_unwind(AssertUnwindSafe(|| instance.on_stream(stream_id, RSlice::from_slice(batch))));
        if handed.is_err() {
            tracing::error!(instance = %self.id, "on_stream panicked");
        }
    }
}

fn by_name(verbs: Vec<VerbInfo>) -> HashMap<String, VerbInfo> {
    verbs.into_iter().map(|info| (info.name.clone(), info)).collect()
}
