//! The wish that an open turn ends: written beside the turn, so that whichever host runs it, or takes it over, finds it.
//!
//! A wish outlives who asked and who runs. The host that runs the turn looks for wishes and ends the turn as `cancelled`
//! within [`STOP_SEEN_WITHIN_MS`] and what the end itself takes; a turn of a dead host is ended so by whoever takes it
//! over, and never runs again.

use super::ID_PATTERN;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How soon a host that runs turns sees a wish which another process wrote.
pub const STOP_SEEN_WITHIN_MS: u64 = 2_000;
/// Most wishes in one reply.
pub const STOP_WISHES_MAX: usize = 1_000;

/// That somebody wants an open turn to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopWish {
    /// Unix ms.
    pub at: u64,
    /// Who wants it; empty = the host itself, or not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// `conversations.v1/request_stop`: writes the wish down; durable before its reply. The first wish of a turn stands.
///
/// Codes: `conflict`, the turn is not open any more (detail `{status}`, what it ended as); `not_found`, no such turn.
pub struct RequestStop;

impl Verb for RequestStop {
    type Params = RequestStopParams;
    type Reply = RequestStopReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/request_stop";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which turn, and who wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestStopParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// Its open turn.
    #[schemars(length(min = 1, max = 256))]
    pub turn_id: String,
    /// Who wants it; empty = the host itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// The wish as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStopReply {
    /// The first one of this turn.
    pub stop: StopWish,
    /// The host process that has the turn open.
    pub host_id: String,
    /// Whether it survives a power cut.
    pub durable: bool,
}

/// `conversations.v1/stop_wishes`: the turns that a host has open and that somebody wants to end.
pub struct StopWishes;

impl Verb for StopWishes {
    type Params = StopWishesParams;
    type Reply = StopWishesReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/stop_wishes";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Of which host, and which page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopWishesParams {
    /// The host process.
    pub host_id: String,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A page, at most [`STOP_WISHES_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopWishesReply {
    /// In order of their conversations.
    pub wishes: Vec<WishedStop>,
    /// `after` of the next page; absent = this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A turn that somebody wants to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishedStop {
    /// Its conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// Who wants it, and since when.
    pub stop: StopWish,
}
