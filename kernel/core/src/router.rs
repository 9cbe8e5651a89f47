//! The router: verb to instance, limits, budgets, cancellation, call streams, topics.
//!
//! It must not know what a verb means, beyond the kernel's own addressing rules.
//! The routing table is read without a lock; open calls live in a table of shards; no lock is held while foreign code runs.

mod abandoned;
mod call;
mod callee;
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
mod parked;
mod route;
mod slots;
mod state;
mod stopping;
mod table;
mod telling;
#[cfg(test)]
mod tests;

pub use cancel::CANCEL_GRACE;
pub use listening::{CallRecord, Heard, LISTENER_BYTES_MAX, Listener, Notification};
pub(crate) use native::{NativeStream, NativeWishes, StreamItem};
pub use state::CancelReason;
pub(crate) use state::{Endpoint, NativeCall, NativeService, OpEntry, Peer, Router, Table};
