//! What the router is made of: itself, its parties, and the calls open between them; in one file, for each holds the others.
//!
//! It must not know what is done with them: that is the other files, each of which does one thing.

use super::frames::Frames;
use super::listening::Listening;
use super::open_calls::OpenCalls;
use crate::clock::Clock;
use arc_swap::ArcSwap;
use dispatch_abi::{InstanceObj, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::kernel::{ReportParams, VerbInfo};
use dispatch_contracts::op::OpSpec;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Routes calls between instances.
pub(crate) struct Router {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: Handle,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) calls: OpenCalls<CallState>,
    pub(super) next_call_id: AtomicU64,
    pub(crate) long_calls_open: AtomicU64,
    pub(super) listening: Arc<Listening>,
    /// Most verbose level anybody reads, 1 to 5.
    pub(crate) log_level_max: u8,
}

impl Router {
    pub(crate) fn new(clock: Arc<dyn Clock>, runtime: Handle, log_level_max: u8) -> Arc<Self> {
        Arc::new(Self {
            clock,
            runtime,
            table: ArcSwap::from_pointee(Table::default()),
            calls: OpenCalls::default(),
            next_call_id: AtomicU64::new(1),
            long_calls_open: AtomicU64::new(0),
            listening: Arc::default(),
            log_level_max,
        })
    }
}

/// Who answers what.
#[derive(Clone, Default)]
pub(crate) struct Table {
    /// Single-valued contract to its service.
    pub(crate) services: HashMap<String, Arc<Endpoint>>,
    /// `tool.v1#read_file` to its contributor.
    pub(crate) named: HashMap<String, Arc<Endpoint>>,
    /// Op id to its contributor.
    pub(crate) ops: BTreeMap<String, Arc<OpEntry>>,
    /// Topic to its subscribers.
    pub(crate) topics: HashMap<String, Vec<Arc<Endpoint>>>,
}

/// An op, whose input schema is compiled when it is first called: most runs of a host call few.
pub(crate) struct OpEntry {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) spec: OpSpec,
    pub(crate) schema_hash: String,
    pub(super) input: OnceLock<Result<jsonschema::Validator, String>>,
}

/// What answers calls.
pub(crate) enum Peer {
    Extension(InstanceObj),
    Native(Arc<dyn NativeService>),
}

/// One party.
pub(crate) struct Endpoint {
    pub(crate) id: String,
    /// Contracts it may call; `None` = all (the kernel and the host binary).
    pub(crate) may_call: Option<HashSet<String>>,
    /// Where `requires` is written, for the message of `not_required`.
    pub(crate) manifest_hint: String,
    /// Whether it may say whom its root calls are for, and where they work.
    pub(crate) identity: bool,
    pub(crate) calls_in_flight_max: u32,
    /// Set once, when the instance has been opened.
    pub(crate) peer: OnceLock<Peer>,
    pub(crate) verbs: ArcSwap<HashMap<String, VerbInfo>>,
    pub(crate) streams: Mutex<HashMap<u64, Arc<CallState>>>,
    /// Set when the instance is stopped: calls to it are refused.
    pub(crate) gone: AtomicBool,
    /// Set when it has stopped: it makes no calls any more.
    pub(crate) stopped: AtomicBool,
    pub(crate) calls_in_flight: AtomicU32,
    /// Long calls open now, by verb.
    pub(crate) long_calls: Mutex<HashMap<String, u64>>,
    pub(crate) calls: AtomicU64,
    pub(crate) panics: AtomicU64,
    /// What the last of them said; cut at `PANIC_BYTES_MAX`.
    pub(crate) last_panic: Mutex<String>,
    pub(crate) overloaded: AtomicU64,
    /// As it reported itself last.
    pub(crate) health: Mutex<ReportParams>,
}

/// Serves verbs without a library.
pub(crate) trait NativeService: Send + Sync {
    /// What it serves.
    fn verbs(&self) -> Vec<VerbInfo>;
    /// Answers one call.
    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>>;
}

/// An open call, as a native callee sees it.
#[derive(Clone)]
pub(crate) struct NativeCall {
    pub(super) router: Arc<Router>,
    pub(super) state: Arc<CallState>,
}

/// One open call, shared by both sides and by the router.
pub(crate) struct CallState {
    pub(crate) id: u64,
    pub(crate) verb: String,
    pub(crate) parent: Option<Arc<CallState>>,
    pub(crate) depth: u32,
    pub(crate) caller: Arc<Endpoint>,
    pub(crate) callee: Arc<Endpoint>,
    pub(crate) meta: SharedBytes,
    /// Polled in place: it may not emit.
    pub(crate) inline: bool,
    /// What it holds until its end.
    pub(crate) slot: Slot,
    pub(crate) deadline: Option<Instant>,
    pub(crate) silence_ms: u64,
    pub(crate) frames: Frames,
    pub(super) began: Instant,
    /// Milliseconds after `began` of the last sign of life.
    pub(super) last_sign_ms: AtomicU64,
    pub(super) children: Children,
    /// Calls open now that its callee makes to its caller.
    pub(super) calls_back: AtomicU32,
    /// Waits under way that the host itself ends.
    pub(super) waits: AtomicU32,
    /// Why and when the first cancel came.
    pub(super) cancelled: OnceLock<(CancelReason, Instant)>,
    /// Where its parts lie while its caller does not poll it.
    pub(super) parked: OnceLock<Weak<dyn Parts>>,
    /// Code of its fault, empty when it was answered; only while somebody listens to calls.
    pub(super) code: OnceLock<String>,
    /// Cancelled, over, or credit came.
    pub(crate) changed: Notify,
}

/// A call's parts, while its caller does not poll it.
pub(super) trait Parts: Send + Sync {
    /// Ends a call that nobody drives; its caller finds what it answered, or `fault`. True if it was `fault`.
    fn take_away(&self, call: &CallState, fault: Fault) -> bool;
}

/// The calls made out of one call.
#[derive(Default)]
pub(super) struct Children {
    pub(super) state: Mutex<ChildrenState>,
}

#[derive(Default)]
pub(super) struct ChildrenState {
    pub(super) open: HashMap<u64, Weak<CallState>>,
    /// How many there ever were.
    pub(super) made: u64,
    /// The call is over: it has no children any more, and takes none.
    pub(super) over: bool,
}

/// What an open call holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing: a call above it in the chain holds a slot of the same callee.
    Inherited,
    /// One of the callee's `calls_in_flight_max`.
    InFlight,
    /// One of the `LONG_CALLS_MAX` of its verb, so that nobody's long calls keep out those of another verb.
    Long,
    /// One of the `CALLS_BACK_MAX` of its parent: what a call back brings may have been paid for already, and whoever
    /// asked for it takes it however busy it is.
    Back,
}

/// Why a call was told to end. Calls made out of it are told the same; the first reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Its caller cancelled it, or has gone.
    Caller,
    /// Its budget ran out.
    Deadline,
    /// It showed no sign of life for the verb's limit of silence.
    Silence,
    /// The caller or the callee is being stopped, or the host is.
    Ended,
}
