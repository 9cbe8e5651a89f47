//! The two trait objects of the waist: what an extension offers, and what the host offers to it.

use crate::types::{CallCtx, CallOpts, Reply, SharedBytes, TopicItem};
use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, RBox, RSlice, RStr, RString};
use async_ffi::FfiFuture;

/// One configured extension, as the host holds it.
///
/// Every method may be called from any thread. `cancel`, `on_stream` and `on_topic` return at once:
/// the SDK behind them only enqueues, and no author code runs inside them.
#[sabi_trait]
pub trait Instance: Send + Sync {
    /// Starts the instance; the answer is JSON `Started` (contracts, `kernel`).
    fn start(&self) -> Reply<SharedBytes>;
    /// Stops the instance; calls still open afterwards are dropped by the host.
    fn stop(&self) -> Reply<()>;
    /// Runs one verb. The `RStr` is valid for this call only; the callee copies what it keeps.
    fn call(&self, verb: RStr<'_>, ctx: CallCtx, body: SharedBytes) -> Reply<SharedBytes>;
    /// First phase of cancelling: the call may still answer within the grace time, then its future is dropped.
    fn cancel(&self, call_id: u64);
    /// Delivers frames of a stream that this instance opened, in order.
    fn on_stream(&self, stream_id: u64, frames: RSlice<'_, SharedBytes>);
    /// Delivers notifications of subscribed topics, in order per topic.
    #[sabi(last_prefix_field)]
    fn on_topic(&self, items: RSlice<'_, TopicItem>);
}

/// The host as one instance sees it: every call through it is stamped with that instance's id.
///
/// Every method may be called from any thread and none blocks.
#[sabi_trait]
pub trait Host: Send + Sync + Clone {
    /// Calls a verb of another instance or of the kernel.
    fn call(&self, verb: RStr<'_>, opts: CallOpts, body: SharedBytes) -> Reply<SharedBytes>;
    /// Emits a frame of an open call: credit left (taken), `EMIT_FULL`, `EMIT_OVER` or `EMIT_DROPPED`.
    fn emit(&self, call_id: u64, frame: SharedBytes) -> i64;
    /// Answers the credit once there is some, or `cancelled` as soon as nobody will take a frame any more.
    fn drained(&self, call_id: u64) -> Reply<u64>;
    /// Grants credit for a stream that this instance opened.
    fn credit(&self, stream_id: u64, bytes: u64);
    /// Publishes a notification; lossy and bounded per subscriber.
    fn publish(&self, topic: RStr<'_>, data: SharedBytes);
    /// Whether an open call of this instance has been cancelled; true for a call that is not open.
    fn is_cancelled(&self, call_id: u64) -> bool;
    /// Sleeps on the host's clock.
    fn sleep(&self, ms: u64) -> FfiFuture<()>;
    /// Unix milliseconds on the host's clock.
    fn now_ms(&self) -> u64;
    /// A new UUIDv7, lower case with hyphens.
    fn new_id(&self) -> RString;
    /// Writes a log record: level 1 (error) to 5 (trace), target, JSON object of fields with `message`.
    fn log(&self, level: u8, target: RStr<'_>, record: RStr<'_>);
    /// The most verbose level that anybody reads; records above it need not be made.
    #[sabi(last_prefix_field)]
    fn log_level_max(&self) -> u8;
}

/// An owned instance, as `Module::open` returns it.
pub type InstanceObj = Instance_TO<'static, RBox<()>>;

/// A host handle; cloning it shares the same identity.
pub type HostObj = Host_TO<'static, RArc<()>>;
