//! What a turn needs from outside: everything that is not a function of its inputs.
//!
//! The kernel implements it over the router; tests implement it over a script. It must not know either.

use crate::tools::TurnTools;
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::filter::{ApplyParams, ApplyReply};
use dispatch_contracts::provider::{StreamFrame, StreamParams, StreamReply};
use dispatch_contracts::retry::{DecideParams, DecideReply};
use dispatch_contracts::tool::{RunParams, RunReply, ToolFrame};
use dispatch_contracts::turn::{
    AskParams, AskReply, BoundaryParams, BoundaryReply, CommitParams, KeepParams, KeepReply, SteeringReply,
};
use futures_util::future::BoxFuture;

/// What a call stream yields next; it ends with the reply or with a fault.
pub type Item<F, R> = dispatch_contracts::Item<F, Result<R, Fault>>;

/// A call under way. Dropping it cancels it upstream, without waiting.
pub trait CallStream<F, R>: Send {
    /// The next item. Dropping the future loses nothing; after [`Item::End`] it is not called again.
    fn next(&mut self) -> BoxFuture<'_, Item<F, R>>;

    /// Asks for a graceful end; returns at once. `next` then yields what there still is, and an end within 500 ms.
    fn cancel(&mut self);
}

/// `provider.v1/stream` under way.
pub type ProviderStream<'a> = Box<dyn CallStream<StreamFrame, StreamReply> + 'a>;
/// `tool.v1/run` under way.
pub type ToolStream<'a> = Box<dyn CallStream<ToolFrame, RunReply> + 'a>;

/// The answer of `emit` when the caller of the turn takes no frames any more; the turn goes on without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NobodyListens;

/// The world of one turn. Faults are the contracts' own; every future may be dropped at any time.
pub trait TurnPorts: Send + Sync {
    /// Starts `provider.v1/stream#provider`. Its limit of silence ends it with the fault `deadline`.
    fn stream_provider(&self, provider: &str, params: StreamParams) -> ProviderStream<'_>;

    /// Starts `tool.v1/run#name`. After `timeout_ms` (0 = never) it ends with the fault `deadline`.
    fn run_tool(&self, name: &str, params: RunParams, timeout_ms: u64) -> ToolStream<'_>;

    /// `turn_host.v1/commit`: durable when it answers. A turn has at most one under way, and may offer one again.
    fn commit<'p>(&'p self, params: &'p CommitParams) -> BoxFuture<'p, Result<(), Fault>>;

    /// `turn_host.v1/ask`. Whoever answers remembers what holds for the conversation; the turn asks each time.
    fn ask(&self, params: AskParams) -> BoxFuture<'_, Result<AskReply, Fault>>;

    /// `turn_host.v1/keep`.
    fn keep(&self, params: KeepParams) -> BoxFuture<'_, Result<KeepReply, Fault>>;

    /// The tools and filters that there are now, if that changed since they were last asked for.
    fn renewed_tools(&self) -> Option<TurnTools>;

    /// `turn_host.v1/steering`.
    fn steering(&self) -> BoxFuture<'_, Result<SteeringReply, Fault>>;

    /// `turn_host.v1/boundary`.
    fn boundary(&self, params: BoundaryParams) -> BoxFuture<'_, Result<BoundaryReply, Fault>>;

    /// `filter.v1/apply#name`.
    fn apply_filter(&self, name: &str, params: ApplyParams) -> BoxFuture<'_, Result<ApplyReply, Fault>>;

    /// `retry.v1/decide`; `None` when the build has no such service or it does not answer.
    fn retry(&self, params: DecideParams) -> BoxFuture<'_, Option<DecideReply>>;

    /// Shows a frame of `turn.v1/run`. Waits for credit; is ready in the same poll in which the frame was taken, and a
    /// dropped future has not shown it: the turn counts its frames by that.
    fn emit(&self, frame: EventBody) -> BoxFuture<'_, Result<(), NobodyListens>>;

    /// A clock in ms that never goes back.
    fn now_ms(&self) -> u64;

    /// Ready after `wait_ms`.
    fn sleep(&self, wait_ms: u64) -> BoxFuture<'_, ()>;
}
