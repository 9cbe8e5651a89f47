//! `conversations.v1`: one log per conversation, and the messages projected from it. Single-valued.
//!
//! Log rows and messages of one append are written in one commit. A conversation has at most one open turn, held by
//! the host process that began it; every write names that turn. Numbers are reserved ahead in each commit, so that
//! live text may run ahead of the disk and numbering goes on above it after a crash.
//! Codes: `not_found`, `turn_in_flight` (detail [`OpenTurn`]), `conflict` (the turn is not the open one), `invalid`,
//! `stale` (detail `{first_seq}`), and those of `storage.v1`.

mod blobs;
mod engine_state;
mod events;
mod grants;
mod hosts;
mod ids;
mod keeping;
mod messages;
mod stops;
mod turn_row;

pub use blobs::*;
pub use engine_state::*;
pub use events::*;
pub use grants::*;
pub use hosts::*;
pub use ids::*;
pub use keeping::*;
pub use messages::*;
pub use stops::*;
pub use turn_row::*;

use crate::event::EventBody;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Another turn of the conversation is open.
pub const TURN_IN_FLIGHT: &str = "turn_in_flight";
/// The cursor is older than what is kept.
pub const STALE: &str = "stale";

/// Most rows in one page of events.
pub const EVENTS_LIMIT_MAX: usize = 1000;
/// Most events and messages together in one begin or append.
pub const APPEND_ITEMS_MAX: usize = 2500;
/// Most conversations in one page.
pub const LIST_LIMIT_MAX: usize = 200;

/// What a title looks like: something visible, and no control characters.
const TITLE_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

/// A conversation as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    /// UUIDv7, or what the client chose (`[A-Za-z0-9_-]{1,64}`).
    pub id: String,
    /// From the first input unless renamed.
    pub title: String,
    /// Unix ms.
    pub created_at: u64,
    /// Last write, unix ms.
    pub active_at: u64,
    /// Highest number given so far; 0 = none.
    pub seq_last: u64,
    /// The turn that is open, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_turn: Option<OpenTurn>,
    /// Working directory of the last turn.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Provider of the last turn.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Model of the last turn.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Engine of the last turn; empty = the kernel's own loop.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// Put away: lists leave it out unless they are asked. A new turn brings it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// Whose it is; absent = nobody's in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// Whose a conversation is. Set by the turn that makes it, and kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// User.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// An open turn and the process that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenTurn {
    /// The turn.
    pub turn_id: String,
    /// Its host process (`conversations.v1/host` tells whether it lives).
    pub host_id: String,
    /// More than its input was written of it for certain: it can be sealed, and never be adopted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Somebody wants it to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopWish>,
}

/// `conversations.v1/adopt`: takes over the open turn of a dead host, if nothing but its input was written of it.
///
/// Such a turn waited for its start; running it now is running it once. Any other stays as it is, for `seal`, and so does
/// one that somebody wants to end ([`StopWish`]).
/// Of several that try the first to write wins, for each requires the version of the conversation that it read.
pub struct Adopt;

impl Verb for Adopt {
    type Params = AdoptParams;
    type Reply = AdoptReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/adopt";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which turn, and who takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptParams {
    /// The conversation.
    pub conversation_id: String,
    /// The turn that must be the open one; another is `conflict`.
    pub turn_id: String,
    /// The host process that it was of, which must be dead; another is `conflict`.
    pub dead_host_id: String,
    /// This host process.
    pub host_id: String,
}

/// Whether it was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptReply {
    /// False: it had begun already, or is to end.
    pub adopted: bool,
    /// When the conversation was made, unix ms.
    pub created_at: u64,
    /// The turn as it was begun: who started it, and with what; absent = nobody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnRow>,
    /// Whose conversation it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// `conversations.v1/history`: a window of the messages, as they are kept.
pub struct History;

impl Verb for History {
    type Params = HistoryParams;
    type Reply = HistoryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/history";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Most messages in one window.
pub const HISTORY_LIMIT_MAX: usize = 500;

/// Which window: with `since` the first `limit` from there on; else the last `limit` below `before`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// First position, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Position after the last; absent = the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Most messages, up to [`HISTORY_LIMIT_MAX`]; 0 = that, and more is `invalid`.
    #[serde(default)]
    #[schemars(range(max = HISTORY_LIMIT_MAX))]
    pub limit: usize,
}

/// A window of the messages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReply {
    /// Ascending.
    pub messages: Vec<PlacedMessage>,
    /// There are messages before the first.
    pub has_older: bool,
    /// There are messages after the last.
    pub has_newer: bool,
    /// Messages of the conversation.
    pub messages_total: u64,
    /// Rows that could not be read and were left out.
    #[serde(default)]
    pub skipped: u64,
}

/// A message and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlacedMessage {
    /// From 0.
    pub position: u64,
    /// A raw `message::Message`.
    pub message: Box<RawValue>,
}

/// `conversations.v1/begin`: makes the conversation if need be and opens a turn in it, with its input, in one commit.
///
/// Codes: `conflict`, the turn was begun and has ended: it never begins twice; `too_large`, the history would have more
/// than `history_bytes_max` (detail [`HistoryTooLarge`]).
pub struct Begin;

impl Verb for Begin {
    type Params = BeginParams;
    type Reply = BeginReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/begin";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// The turn to open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BeginParams {
    /// The conversation; made if it does not exist and `create` says so.
    pub conversation_id: String,
    /// Whether a missing conversation is made; else it is `not_found`.
    #[serde(default)]
    pub create: bool,
    /// The new turn.
    pub turn_id: String,
    /// This host process.
    pub host_id: String,
    /// Kept as the conversation's last.
    pub cwd: String,
    /// Kept as the conversation's last.
    pub provider: String,
    /// Kept as the conversation's last.
    #[serde(default)]
    pub model: String,
    /// Kept as the conversation's last; empty = the kernel's own loop.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// What the title is made of if the conversation has none yet: its first line that says something.
    #[serde(default)]
    pub title: String,
    /// `turn_started` and `input`.
    pub events: Vec<EventBody>,
    /// The user's message.
    pub messages: Vec<Box<RawValue>>,
    /// Who starts it; empty = the host itself. Kept in the turn's row, like what follows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// The tenant that it is for, as its start was stamped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The user that it is for, likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The device that it came from, likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// The computer that its tools work on; empty = this one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub computer: String,
    /// Which attempt at its input this is, from 1; 0 = nobody counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// Whose the conversation is, if this turn makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Most bytes of all messages, as they are kept and with those of this turn; above it nothing is opened. 0 = no bound.
    #[serde(default, skip_serializing_if = "is_no_bound")]
    pub history_bytes_max: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_no_bound(bytes: &u64) -> bool {
    *bytes == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The opened turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginReply {
    /// The number before the turn's first event: a client that watches after it sees the whole turn.
    pub cursor: u64,
    /// When the conversation was made, unix ms.
    pub created_at: u64,
    /// Whether it survives a power cut.
    pub durable: bool,
}

/// `conversations.v1/append`: durable before its reply, then shown to watchers.
pub struct Append;

impl Verb for Append {
    type Params = AppendParams;
    type Reply = AppendReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/append";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// What to write, in order after everything sent for this turn before; at most [`APPEND_ITEMS_MAX`] items.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AppendParams {
    /// The conversation.
    pub conversation_id: String,
    /// The open turn; another is `conflict`.
    pub turn_id: String,
    /// For the log.
    #[serde(default)]
    pub events: Vec<EventBody>,
    /// For the history.
    #[serde(default)]
    pub messages: Vec<Box<RawValue>>,
    /// Closes the turn in the same commit; the last event is `turn_ended`.
    #[serde(default)]
    pub end_turn: bool,
    /// With `end_turn`: what goes into the turn's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<TurnSummary>,
    /// Names this append within its turn. One with the same name as the last that was written is not written again and is
    /// answered as that was: its answer was lost. Absent = it is always written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_idx: Option<u64>,
    /// What the turn's engine leaves for its next turn, in the same commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_state: Option<NewEngineState>,
}

/// Where it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendReply {
    /// Number of the last event.
    pub seq_last: u64,
    /// Whether it survives a power cut.
    pub durable: bool,
}

/// `conversations.v1/live`: events that are shown at once and become durable within 250 ms, or 16 KB, or with the next append.
pub struct Live;

impl Verb for Live {
    type Params = LiveParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/live";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Live events; consecutive deltas of one kind and step become one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveParams {
    /// The conversation.
    pub conversation_id: String,
    /// The open turn, begun by this process.
    pub turn_id: String,
    /// In order.
    pub events: Vec<EventBody>,
}

/// `conversations.v1/seal`: ends the open turn of a dead host as `interrupted`, or as `cancelled` if somebody wanted it
/// to end ([`StopWish`]).
///
/// A pure function over the log and that wish: each tool call without a result gets one (`outcome_unknown`) directly after it, then
/// `turn_ended`. Doing it twice is doing it once.
pub struct Seal;

impl Verb for Seal {
    type Params = SealParams;
    type Reply = SealReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/seal";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// Which turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealParams {
    /// The conversation.
    pub conversation_id: String,
    /// The turn that must be the open one.
    pub turn_id: String,
    /// The host process that it must still be of; absent = whoever has it. Another may have adopted it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_host_id: Option<String>,
}

/// Whether there was something to seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealReply {
    /// False: the turn was not open any more, or not of that host.
    pub sealed: bool,
}
