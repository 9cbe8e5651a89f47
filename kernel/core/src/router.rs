//! The router: verb to instance, limits, budgets, cancellation, call streams, topics.
//!
//! It must not know what a verb means, beyond the kernel's own addressing rules.
//! The routing table is read without a lock; open calls live in a table of shards; no lock is held while foreign code runs.

mod abandoned;
mod call;
mod cancel;
mod children;
mod drive;
mod endpoint;
mod frames;
mod host_api;
mod listening;
mod log_record;
mod native;
mod open_calls;
mod route;
mod slots;
mod stopping;
mod table;
#[cfg(test)]
mod tests;

pub use cancel::CancelReason;
pub(crate) use endpoint::{Endpoint, Peer};
pub use listening::{CallRecord, Heard, LISTENER_BYTES_MAX, Listener, Notification};
pub(crate) use native::{NativeCall, NativeService, NativeStream, StreamItem};
pub(crate) use table::{OpEntry, Table};

use crate::clock::Clock;
use arc_swap::ArcSwap;
use dispatch_abi::{CallOpts, HostObj, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::bounds::CANCEL_GRACE_MS;
use dispatch_wire::shared;
use open_calls::OpenCalls;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Time between the two phases of cancelling; longer while calls made out of the cancelled one use theirs.
pub const CANCEL_GRACE: Duration = Duration::from_millis(CANCEL_GRACE_MS);

/// Routes calls between instances.
pub(crate) struct Router {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: Handle,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) calls: OpenCalls,
    next_call_id: AtomicU64,
    pub(crate) long_calls_open: AtomicU64,
    pub(crate) listening: listening::Listening,
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
            listening: listening::Listening::default(),
            log_level_max,
        })
    }

    /// The host as `endpoint` sees it.
    pub(crate) fn host_for(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> HostObj {
        host_api::host_object(Arc::clone(self), Arc::clone(endpoint))
    }

    /// A call made by a native endpoint, without frames.
    pub(crate) async fn native_call(
        self: &Arc<Self>,
        caller: &Arc<Endpoint>,
        parent: Option<&NativeCall>,
        verb: &str,
        body: SharedBytes,
        wishes: NativeWishes,
    ) -> Result<SharedBytes, Fault> {
        let opts = CallOpts {
            parent_call_id: parent.map_or(0, NativeCall::id),
            stream_id: 0,
            budget_ms: wishes.budget_ms,
            meta: shared(wishes.meta),
        };
        self.start_call(caller, verb, opts, body, None)?.await
    }

    /// A call made by a native endpoint, with frames.
    pub(crate) fn native_stream(
        self: &Arc<Self>,
        caller: &Arc<Endpoint>,
        parent: Option<&NativeCall>,
        verb: &str,
        body: SharedBytes,
        wishes: NativeWishes,
    ) -> Result<NativeStream, Fault> {
        let stream_id = self.next_call_id.fetch_add(1, Ordering::Relaxed);
        let opts = CallOpts {
            parent_call_id: parent.map_or(0, NativeCall::id),
            stream_id,
            budget_ms: wishes.budget_ms,
            meta: shared(wishes.meta),
        };
        let (sender, frames) = tokio::sync::mpsc::unbounded_channel();
        let call = self.start_call(caller, verb, opts, body, Some(sender))?;
        Ok(NativeStream::new(call, frames))
    }
}

/// What a native caller wishes of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct NativeWishes {
    /// Total budget; 0 = the verb's own.
    pub(crate) budget_ms: u64,
    /// JSON for a root call's meta, or empty.
    pub(crate) meta: Vec<u8>,
}
