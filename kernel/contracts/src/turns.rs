//! `turns.v1`: starting, stopping and watching turns. Single-valued; its verbs are the ops `turns.start`, `turns.stop`, `turns.watch`.
//!
//! Codes: `turn_in_flight`, `not_found`, `invalid`, `no_provider` (detail: why each provider is not ready), `stale`.

use crate::event::Event;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No provider can be used: none named, or the one named is missing or not ready.
pub const NO_PROVIDER: &str = "no_provider";

/// Most bytes of one input.
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `turns.v1/start`: the input is durable before the reply; the turn then runs without its client.
pub struct Start;

impl Verb for Start {
    type Params = StartParams;
    type Reply = StartReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turns.v1/start";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartParams {
    /// An existing conversation; absent = a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// What the user says, not blank.
    pub input: String,
    /// Provider; absent = the conversation's last, else the only one that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model; absent = the conversation's last with the same provider, else the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Absolute working directory; absent = the conversation's last, else the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// The ack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartReply {
    /// The conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// Watch after it to see the whole turn.
    pub cursor: u64,
    /// Whether the input survives a power cut.
    pub durable: bool,
}

/// `turns.v1/stop`: ends the open turn of a conversation. Answers when it has ended.
pub struct Stop;

impl Verb for Stop {
    type Params = StopParams;
    type Reply = StopReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turns.v1/stop";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopParams {
    /// The conversation.
    pub conversation_id: String,
    /// Only if this is the open turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
}

/// Whether there was something to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopReply {
    /// A turn ran here and has ended.
    pub stopped: bool,
}

/// `turns.v1/watch`: the conversation's events after a cursor.
pub struct Watch;

impl Verb for Watch {
    type Params = WatchParams;
    type Reply = WatchReply;
    type Frame = Event;
    const NAME: &'static str = "turns.v1/watch";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// From where, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchParams {
    /// The conversation.
    pub conversation_id: String,
    /// Cursor; 0 = from the beginning.
    #[serde(default)]
    pub after: u64,
    /// End after this turn's `turn_ended`; absent = go on for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_turn: Option<String>,
}

/// Where it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchReply {
    /// Last number shown.
    pub cursor: u64,
}
