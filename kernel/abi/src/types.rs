//! The values that cross the boundary. None of them may ever gain, lose or reorder a field.

use abi_stable::StableAbi;
use abi_stable::std_types::{RArc, RResult, RString, RVec};
use async_ffi::FfiFuture;

/// Bytes owned by the receiver; freed through the allocator of the library that made them.
pub type Bytes = RVec<u8>;

/// Bytes shared between both sides without a copy; never written after they were made.
pub type SharedBytes = RArc<RVec<u8>>;

/// The answer to a call: a future that its owner's runtime drives, polled by the other side.
///
/// Dropping it cancels the call in two phases (see [`crate::Instance::cancel`]).
pub type Reply<T> = FfiFuture<RResult<T, Fault>>;

/// Why a call failed.
///
/// `code` is stable and for programs, `message` is one sentence for a person, `detail` is JSON or empty.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable word for programs, such as `not_required`.
    pub code: RString,
    /// What was tried, on what, what was found, what to do next.
    pub message: RString,
    /// JSON, or empty.
    pub detail: Bytes,
}

/// What the callee is told about a call. Made by the router, never by the caller.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CallCtx {
    /// Unique in this host process; never 0.
    pub call_id: u64,
    /// The call out of which this one was made; 0 for a root call.
    pub parent_id: u64,
    /// Milliseconds left when the call was handed over; 0 means no total deadline.
    pub budget_ms: u64,
    /// Whether the caller listens to frames; if not, every frame is dropped.
    pub streamed: bool,
    /// Instance id of the caller, stamped by the router.
    pub caller: RString,
    /// JSON `{actor, conversation_id?, turn_id?, trace?}`; read-only, shared by the whole chain.
    pub meta: SharedBytes,
}

/// What the caller wishes of a call.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CallOpts {
    /// An open call of this very instance, or 0 for a root call.
    pub parent_call_id: u64,
    /// Chosen by the caller, unique among its open streams; 0 means that it wants no frames.
    pub stream_id: u64,
    /// Total budget; 0 leaves it to the verb's own limit. A parent's rest always bounds it.
    pub budget_ms: u64,
    /// JSON wishes for a root call's meta (`conversation_id`, `turn_id`, `trace`, `actor`), or empty.
    pub meta: SharedBytes,
}

/// One notification of a topic.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct TopicItem {
    /// Topic name.
    pub topic: RString,
    /// JSON payload, shared by all subscribers.
    pub data: SharedBytes,
    /// How many items of this subscriber were dropped just before this one.
    pub missed: u64,
}
