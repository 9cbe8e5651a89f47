//! What a person allowed for the rest of a conversation: kept with it, shown, and taken back.

use super::ID_PATTERN;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most grants of one conversation.
pub const GRANTS_MAX: usize = 500;

/// A tool that may run in a conversation without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantedTool {
    /// The tool.
    pub tool: String,
    /// Unix ms.
    pub granted_at: u64,
    /// Who said so; empty = not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// `conversations.v1/grants`: what was allowed for the rest of a conversation. Codes: `not_found`, no such conversation.
pub struct Grants;

impl Verb for Grants {
    type Params = GrantsParams;
    type Reply = GrantsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/grants";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantsParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
}

/// What was allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantsReply {
    /// By tool, at most [`GRANTS_MAX`].
    pub grants: Vec<GrantedTool>,
}

/// `conversations.v1/grant`: a person allowed a tool for the rest of a conversation; durable before its reply.
///
/// Doing it twice is doing it once. Codes: `not_found`, no such conversation; `conflict`, it has [`GRANTS_MAX`] already.
pub struct Grant;

impl Verb for Grant {
    type Params = GrantParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/grant";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// What is allowed where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantParams {
    /// The conversation.
    pub conversation_id: String,
    /// The tool, at most 256 bytes.
    pub tool: String,
    /// Who says so; empty = not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// `conversations.v1/revoke`: what was allowed is asked for again. Durable before its reply.
pub struct Revoke;

impl Verb for Revoke {
    type Params = RevokeParams;
    type Reply = RevokeReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/revoke";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// The tool.
    #[schemars(length(min = 1, max = 256))]
    pub tool: String,
}

/// Whether there was something to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeReply {
    /// False: it was not allowed.
    pub revoked: bool,
}
