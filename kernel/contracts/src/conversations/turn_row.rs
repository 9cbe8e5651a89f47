//! What is kept of each turn beside its events: its row, written in the commits that begin and end it.

use super::{ID_PATTERN, Owner, StopWish};
use crate::event::TurnStatus;
use crate::provider::Usage;
use crate::turn::TurnTimings;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most turns in one page of [`EndedTurns`].
pub const ENDED_TURNS_LIMIT_MAX: usize = 500;

/// `conversations.v1/turn`: the row of a turn.
///
/// A turn that is older than rows is read from its log, as far as that tells. Codes: `not_found`, no such turn.
pub struct Turn;

impl Verb for Turn {
    type Params = TurnParams;
    type Reply = TurnRow;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/turn";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// The turn.
    #[schemars(length(min = 1, max = 256))]
    pub turn_id: String,
}

/// The row of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnRow {
    /// The turn.
    pub turn_id: String,
    /// Number of its first event.
    pub seq_first: u64,
    /// Number of its last event; while it is open, of the last one that its begin wrote.
    pub seq_last: u64,
    /// Position of its first message; absent when it had none, or when only the log is left to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_first: Option<u64>,
    /// Position of its last message, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_last: Option<u64>,
    /// How it ended; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TurnStatus>,
    /// Unix ms.
    pub started_at: u64,
    /// Unix ms; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Tokens of all its steps.
    #[serde(default)]
    pub usage: Usage,
    /// Steps that were completed.
    #[serde(default)]
    pub steps: u32,
    /// Where its time went.
    #[serde(default)]
    pub timings: TurnTimings,
    /// Who started it; empty = the host itself, or not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// The tenant that it is for; empty = nobody's in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The user that it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The device that it came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// Its engine; empty = the kernel's own loop.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// Its provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Its model; empty = the provider's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// The computer that its tools work on; empty = this one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub computer: String,
    /// Which attempt at its input this is, from 1; 0 = nobody counted. A turn that is adopted counts as one more: the host
    /// that died may have asked the model already.
    #[serde(default)]
    pub attempt: u32,
    /// Somebody wanted it to end, or wants it to; absent = nobody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopWish>,
}

/// What the append that ends a turn tells of it; what is absent is taken from its `turn_ended`, or was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnSummary {
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TurnStatus>,
    /// Tokens of all its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Steps that were completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Where its time went.
    #[serde(default)]
    pub timings: TurnTimings,
}

/// `conversations.v1/ended_turns`: the turns of all conversations that ended in a span of time, oldest end first.
///
/// Turns that ended before rows were kept are among them once the store has made theirs, which it does bit by bit while a
/// host serves.
pub struct EndedTurns;

impl Verb for EndedTurns {
    type Params = EndedTurnsParams;
    type Reply = EndedTurnsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/ended_turns";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which span, and which page of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTurnsParams {
    /// First moment, unix ms, inclusive.
    #[serde(default)]
    pub since: u64,
    /// Unix ms, exclusive; absent = up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most turns, up to [`ENDED_TURNS_LIMIT_MAX`]; 0 = that, and more is `invalid`.
    #[serde(default)]
    pub limit: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTurnsReply {
    /// Oldest end first.
    pub turns: Vec<EndedTurn>,
    /// `after` of the next page; absent = this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What can be summed up over turns without reading their rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTurn {
    /// Its conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// Unix ms.
    pub ended_at: u64,
    /// How it ended.
    pub status: TurnStatus,
    /// Tokens of all its steps.
    #[serde(default)]
    pub usage: Usage,
    /// Steps that were completed.
    #[serde(default)]
    pub steps: u32,
    /// From start to end.
    #[serde(default)]
    pub duration_ms: u64,
    /// Its provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Its model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Whose conversation it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}
