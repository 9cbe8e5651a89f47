//! The history for the next request, whole or in pages, and what says that it is too long for one.

use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most bytes of messages in one answer; below the bound of a reply, with room for results that are made up.
pub const MESSAGES_BYTES_MAX: usize = 14 * 1024 * 1024;

/// `conversations.v1/messages`: the history for the next request, reconciled.
///
/// The pages of a history, one after another, are the history as it is answered whole: mending does not depend on where
/// a page ends. Codes: `too_large`, it has more than [`MESSAGES_BYTES_MAX`] and was not asked for in pages.
pub struct Messages;

impl Verb for Messages {
    type Params = MessagesParams;
    type Reply = MessagesReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/messages";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Whose, and which page; without any of the last three the whole history, or `too_large`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagesParams {
    /// The conversation.
    pub conversation_id: String,
    /// `next` of the page before; absent = from the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Most kept messages that a page covers; 0 = as many as its bytes allow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub limit: usize,
    /// Most bytes of messages in a page, up to [`MESSAGES_BYTES_MAX`], and more is `invalid`; 0 = that. A page has one
    /// message at least.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_max: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The history, or a page of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MessagesReply {
    /// Raw `message::Message`s in order; byte-stable from call to call.
    pub messages: Vec<Box<RawValue>>,
    /// Rows of this page that could not be read and were left out.
    #[serde(default)]
    pub skipped: u64,
    /// `after` of the next page; absent = this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// `detail` of the `too_large` that refuses a turn for the length of its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryTooLarge {
    /// What the conversation has.
    pub history_bytes: u64,
    /// What the turn would add with its input.
    pub input_bytes: u64,
    /// What both may have together.
    pub bytes_max: u64,
}
