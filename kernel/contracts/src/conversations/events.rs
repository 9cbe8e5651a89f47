//! Reading and watching the log of a conversation.

use super::{EVENTS_LIMIT_MAX, ID_PATTERN};
use crate::event::Event;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `conversations.v1/events`: a page of the log.
pub struct Events;

impl Verb for Events {
    type Params = EventsParams;
    type Reply = EventsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/events";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which rows: those with `after < seq`, the first `limit`; with `before`, the last `limit` with `seq < before`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// Cursor; absent = from the beginning. One above every number that was given is `invalid` (detail `{seq_last}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Upper end; absent = up to the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Most rows, up to [`EVENTS_LIMIT_MAX`]; 0 = that, and more is `invalid`.
    #[serde(default)]
    #[schemars(range(max = EVENTS_LIMIT_MAX))]
    pub limit: usize,
}

/// A page of the log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventsReply {
    /// Ascending.
    pub events: Vec<Event>,
    /// There are rows before the first.
    pub has_older: bool,
    /// There are rows after the last.
    pub has_newer: bool,
    /// Rows that could not be read and were left out.
    #[serde(default)]
    pub skipped: u64,
}

/// `conversations.v1/watch`: every event after a cursor, then live ones, without gap or duplicate. Never ends by itself.
///
/// An event that is larger than a frame (4 MiB) comes with `{"elided_bytes": n}` as its data; `events` has it whole.
pub struct Watch;

impl Verb for Watch {
    type Params = WatchParams;
    type Reply = Empty;
    type Frame = Event;
    const NAME: &'static str = "conversations.v1/watch";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// From where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchParams {
    /// The conversation.
    pub conversation_id: String,
    /// Cursor; 0 = from the beginning. One above every number that was given is `invalid` (detail `{seq_last}`).
    #[serde(default)]
    pub after: u64,
}
