//! The turn loop: one user input, through provider streams and tool calls, to its end.
//!
//! It is a function of its inputs: clock, sleep, provider, tools, filters, commits and questions come through
//! [`TurnPorts`]. The core may know it; it must not know the ABI, the router, any service or any extension.
//!
//! What is shown without durability goes through `emit` and is counted; everything else goes through `commit`, which
//! says how many frames came before it. A turn without tools commits once.

mod act;
mod ask;
mod bound;
mod commit;
mod ctx;
mod filter;
mod limits;
mod parts;
mod ports;
mod progress;
mod steps;
mod stop;
mod timing;
mod tools;

pub use commit::committing::offer;
pub use commit::events::{event, sum as sum_usage};
pub use ctx::FramesOut;
pub use limits::{
    COMMIT_BYTES_MAX, COMMIT_TRIES_MS, COMMIT_TRIES_STOPPED_MS, COMMIT_WAIT_MAX_MS, COMMIT_WAIT_MS,
    EMIT_GRACE_MS, FILTER_OPS_BYTES_MAX, HISTORY_BYTES_MAX, MALFORMED_CHARS_MAX, MESSAGE_BYTES_MAX,
    RENEWALS_MAX, RESULT_IMAGES_BYTES_MAX, RETRY_ATTEMPTS_MAX, STEP_TEXT_BYTES_MAX, TEXT_FLUSH_BYTES,
    TEXT_FLUSH_MS, TOOL_CALLS_PARALLEL_MAX, TOOL_CALLS_PER_STEP_MAX, TOOL_DETAIL_BYTES_MAX, TOOL_GRACE_MS,
    TOOL_OUTPUT_BYTES_MAX, TOOL_OUTPUT_FRAME_BYTES_MAX, TOOL_RESULT_BYTES_MAX, TOOL_RESULT_OPS_BYTES_MAX,
    TurnLimits,
};
pub use ports::{CallStream, Item, NobodyListens, ProviderStream, ToolStream, TurnPorts};
pub use progress::{Progress, Waiting};
pub use stop::{StopReason, StopSignal};
pub use tools::{ToolPolicy, TurnTools};

use dispatch_contracts::event::TurnEnded;
use dispatch_contracts::turn::RunParams;
use std::sync::RwLock;

/// Runs exactly one turn and answers how it ended; a failed turn is an answer too.
///
/// The last commit holds `turn_ended` as its last event. Only if nobody takes a commit there is none: the answer is
/// then `failed` with the fault's code, at most [`COMMIT_TRIES_MS`] and one commit's own limit after the first offer.
/// After `stop` the turn ends within [`TOOL_GRACE_MS`] and the time its commits take.
/// While it runs, `progress` says where it is.
/// Dropping the future drops every call under way and commits nothing more.
pub async fn run_turn(
    params: RunParams,
    tools: TurnTools,
    ports: &dyn TurnPorts,
    stop: StopSignal,
    progress: &Progress,
) -> TurnEnded {
    let frames = ctx::FramesOut::new(ports, &stop, progress);
    let RunParams {
        conversation_id,
        turn_id,
        provider,
        model,
        system,
        cwd,
        computer,
        messages,
        steps_max,
        boundaries,
        ..
    } = params;
    let tools = tools.reaching(&computer);
    let about = ctx::About {
        conversation_id,
        turn_id,
        provider,
        model,
        system,
        cwd,
        computer,
        steps_max,
        boundaries,
    };
    let ctx = ctx::Ctx {
        about: &about,
        tools: &tools,
        ports,
        stop: &stop,
        frames: &frames,
        progress,
        offered: RwLock::default(),
        timing: timing::Timing::default(),
    };
    steps::Turn::new(&ctx, messages).run().await
}
