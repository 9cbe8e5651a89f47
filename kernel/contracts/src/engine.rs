//! `engine.v1` (runs turns in the place of the kernel's own loop; many-valued: `engine.v1/run#name`) and `engine_host.v1`
//! (served by the kernel, which made that call, for as long as it is open).
//!
//! An engine takes what `turn.v1/run` takes, shows what it shows and answers what it answers, so that whoever runs turns
//! sees one kind of turn. It differs in this:
//! - `messages` holds this turn's input alone; what was said before is asked for with `history`.
//! - `engine_state` is what its last turn of this conversation committed last, or absent.
//! - Commits are numbered from 0 without a gap, and each says how many of its frames come before it, no more than it has
//!   emitted and no fewer than the commit before. The kernel offers a commit again while its fault may pass, so that a
//!   fault is final; a commit whose answer was lost may come again under its number.
//! - The last commit ends with `turn_ended`. An engine that ends without one (it dies, answers too early, is silent, shows
//!   what is no frame) has its turn ended by the kernel, and each tool call that it left open gets the result
//!   `outcome_unknown`.
//! - A stop cancels its call: it has the grace time to commit what there is.
//!
//! Refusals of `engine_host.v1`: `invalid` (another turn or conversation, a gap in the numbers, frames that were not emitted, an event that
//! is not an engine's), `too_large`, `conflict` (the turn is over), `bad_call` (not within `engine.v1/run`).

use crate::event::{EventBody, TurnEnded};
use crate::turn;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kernel's own loop. It is always there, and nobody else can have its name.
pub const NATIVE: &str = "native";

/// Most bytes of an engine's state, as JSON.
pub const ENGINE_STATE_BYTES_MAX: usize = 64 * 1024;

/// Most tool calls of a turn that are without a result at once.
pub const OPEN_TOOL_CALLS_MAX: usize = 1024;

/// Whether an engine's name means the kernel's own loop; empty does.
pub fn is_native(engine: &str) -> bool {
    engine.is_empty() || engine == NATIVE
}

/// An engine as `start` contributes it; called as `engine.v1/…#name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineSpec {
    /// Name after `#`.
    pub name: String,
    /// Whether it can be used now.
    pub ready: bool,
    /// Why not, and what to do; empty when ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// `engine.v1/run`: runs one turn to its end, and shows frames until then.
pub struct Run;

impl Verb for Run {
    type Params = turn::RunParams;
    type Reply = TurnEnded;
    type Frame = EventBody;
    const NAME: &'static str = "engine.v1/run";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = turn::Run::LIMITS;
}

/// `engine_host.v1/commit`: `turn_host.v1/commit`, offered again by the kernel; durable when it answers.
pub struct Commit;

impl Verb for Commit {
    type Params = turn::CommitParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "engine_host.v1/commit";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// `engine_host.v1/ask`: whether something may be done that has an effect. The host's policy answers where it allows or
/// denies that effect; where it asks, `turn_host.v1/ask` does.
pub struct Ask;

impl Verb for Ask {
    type Params = turn::AskParams;
    type Reply = turn::AskReply;
    type Frame = NoFrame;
    const NAME: &'static str = "engine_host.v1/ask";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = turn::Ask::LIMITS;
}

/// `engine_host.v1/steering`: `turn_host.v1/steering`.
pub struct Steering;

impl Verb for Steering {
    type Params = Empty;
    type Reply = turn::SteeringReply;
    type Frame = NoFrame;
    const NAME: &'static str = "engine_host.v1/steering";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = turn::Steering::LIMITS;
}

/// `engine_host.v1/boundary`: `turn_host.v1/boundary`.
pub struct Boundary;

impl Verb for Boundary {
    type Params = turn::BoundaryParams;
    type Reply = turn::BoundaryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "engine_host.v1/boundary";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = turn::Boundary::LIMITS;
}

/// `engine_host.v1/history`: `turn_host.v1/history`.
pub struct History;

impl Verb for History {
    type Params = turn::HistoryParams;
    type Reply = turn::HistoryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "engine_host.v1/history";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = turn::History::LIMITS;
}
