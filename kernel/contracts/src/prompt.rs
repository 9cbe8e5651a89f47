//! `prompt.v1`: the system prompt of a conversation. Single-valued.

use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// `prompt.v1/system`.
pub struct System;

impl Verb for System {
    type Params = SystemParams;
    type Reply = SystemReply;
    type Frame = NoFrame;
    const NAME: &'static str = "prompt.v1/system";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemParams {
    /// The conversation.
    pub conversation_id: String,
    /// Absolute working directory of the turn.
    pub cwd: String,
    /// When the conversation began, unix ms: what the prompt's date is made of, so that it stays the same from turn to turn.
    pub started_at: u64,
}

/// The prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemReply {
    /// The same for the same conversation, directory and files: prefix caches live from it.
    pub text: String,
    /// Absolute paths of instruction files that were left out, because nobody trusts them as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untrusted: Vec<String>,
}
