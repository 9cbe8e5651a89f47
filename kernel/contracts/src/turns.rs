//! `turns.v1`: starting, stopping, watching and explaining turns. Single-valued; its verbs are ops: `turns.start`,
//! `turns.stop`, `turns.watch`, `turns.explain`, and `models.list` for `models`.
//!
//! Codes: `turn_in_flight`, `not_found`, `invalid`, `too_large` (the input, or the history with it: begin a new
//! conversation), `no_provider` (detail: why each provider is not ready), `no_engine` (detail: which engines there are),
//! `stale`.

use crate::conversations::{ID_PATTERN, StopWish};
use crate::event::{AllowScope, ApprovalDecision, DeniedBy, Event, TurnEnded, TurnError};
use crate::filter::Point;
use crate::message::ToolStatus;
use crate::provider::{FaultClass, Finish, ModelInfo, ProviderSpec, Usage};
use crate::tool::Effect;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// No provider can be used: none named, or the one named is missing or not ready.
pub const NO_PROVIDER: &str = "no_provider";
/// The engine named is missing or not ready.
pub const NO_ENGINE: &str = "no_engine";

/// Most bytes of one input.
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most parts beside the text of one input.
pub const INPUT_PARTS_MAX: usize = 8;
/// Most bytes of all its pictures together, as base64: a call carries 16 MiB, the text among them.
pub const INPUT_IMAGES_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Most rows of a turn, and operations of its filters, in one explanation together; the newest are kept.
pub const EXPLAIN_ITEMS_MAX: usize = 4_000;
/// Most bytes of one value in an explanation, counted as JSON; a larger one is cut to a text.
pub const EXPLAIN_VALUE_BYTES_MAX: usize = 1024;
/// Most rows of the log that are read for one explanation, from the newest back.
pub const EXPLAIN_ROWS_MAX: usize = 50_000;

/// `turns.v1/start`: the input is durable before the reply; the turn then runs without its client.
///
/// After a fault nothing runs, now or later: what was opened for a caller that had gone is ended untouched.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartParams {
    /// An existing conversation; absent = a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: Option<String>,
    /// What the user says, not blank.
    #[schemars(length(max = INPUT_BYTES_MAX), regex(pattern = r"\S"))]
    pub input: String,
    /// What is shown beside it, in order; kept as blobs before the reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = INPUT_PARTS_MAX))]
    pub parts: Vec<InputPart>,
    /// Provider; absent = the conversation's last, else the build's default, else the only one that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub provider: Option<String>,
    /// Model; absent = the conversation's last with the same provider, else the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub model: Option<String>,
    /// Absolute working directory; absent = the conversation's last, else the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = "^/"))]
    pub cwd: Option<String>,
    /// What runs the turn: `native`, the kernel's own loop, or an engine of the build; absent = the conversation's last, else
    /// the build's default, else `native`. Another engine than `native` needs no provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub engine: Option<String>,
}

/// What a user may show beside the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputPart {
    /// A picture, of at most `message::IMAGE_BYTES_MAX` bytes; all together at most [`INPUT_IMAGES_BYTES_MAX`].
    Image {
        /// As `image/png`.
        #[schemars(length(max = 128), regex(pattern = "^image/[a-zA-Z0-9.+-]+$"))]
        media_type: String,
        /// Base64 with padding.
        #[schemars(length(min = 4))]
        data: String,
    },
    /// A part of a later version: `invalid`.
    #[serde(other)]
    Unknown,
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
///
/// A turn that waits for its run or whose host is dead is ended too. Of a turn that another host process runs the wish is
/// written down, durable before the reply, and its end is waited for: that host ends it when it sees the wish
/// (`conversations.v1/request_stop`), and whoever takes it over does if that host dies.
/// Codes: `unavailable`, its end cannot be written (`no_space` on a full disk); `deadline`.
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
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// Only if this is the open turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub turn_id: Option<String>,
}

/// Whether there was something to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopReply {
    /// A turn was open and has ended; false: none was, or it has not ended yet.
    pub stopped: bool,
    /// It runs in another host process and had not ended when this was answered; the wish stands, and it will.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requested: bool,
}

/// `turns.v1/watch`: the conversation's events after a cursor.
///
/// With `until_turn`: `no_space` or `unavailable` when the turn is over and its end could not be written (detail
/// `{turn_id, kept_seq, code}`).
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
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// Cursor; 0 = from the beginning.
    #[serde(default)]
    pub after: u64,
    /// End after this turn's `turn_ended`; absent = go on for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub until_turn: Option<String>,
}

/// Where it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchReply {
    /// Last number shown.
    pub cursor: u64,
}

/// `turns.v1/models`: every provider of the build, and the models it offers.
pub struct Models;

impl Verb for Models {
    type Params = ModelsParams;
    type Reply = ModelsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turns.v1/models";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(20_000);
}

/// Of whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelsParams {
    /// One provider; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Who offers what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsReply {
    /// In order of activation.
    pub providers: Vec<ProviderModels>,
}

/// A provider and its models. One that cannot be asked says why and keeps nobody else from answering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderModels {
    /// The provider.
    #[serde(flatten)]
    pub provider: ProviderSpec,
    /// In the endpoint's order; empty when it could not be asked.
    pub models: Vec<ModelInfo>,
    /// Why it could not be asked; empty when it could.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fault: String,
}

/// `turns.v1/explain`: what happened in a turn, step by step, made from the log and its row.
pub struct Explain;

impl Verb for Explain {
    type Params = ExplainParams;
    type Reply = ExplainReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turns.v1/explain";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// The turn; absent = the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub turn_id: Option<String>,
}

/// What the log says of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainReply {
    /// The conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// When it began, unix ms.
    pub started_at: u64,
    /// Provider that was chosen.
    pub provider: String,
    /// Model, empty = the provider's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Changes before the first step: those of `turn.input` and `turn.tools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ExplainedChange>,
    /// In order; the last one may be under way, or broken off.
    pub steps: Vec<ExplainedStep>,
    /// What was worth telling, such as a filter that failed and was passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<ExplainedNotice>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TurnError>,
    /// How it ended; absent = it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TurnEnded>,
    /// The wish that it ends, if it was written down: of one asked of the host that ran it nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopWish>,
    /// Something is missing: there was more than [`EXPLAIN_ITEMS_MAX`] or [`EXPLAIN_ROWS_MAX`], or a row that nobody
    /// can read.
    #[serde(default)]
    pub incomplete: bool,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedStep {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Its timings; absent = it was not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<StepTiming>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// Its tokens, if the provider said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Requests that were tried again, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<ExplainedRetry>,
    /// What filters changed, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ExplainedChange>,
    /// Tool calls in the order they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ExplainedTool>,
}

/// The timings of a completed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepTiming {
    /// Request to first content; absent when none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// Request to the end of the stream.
    pub stream_ms: u64,
    /// Request to the end of the step, tools included.
    pub step_ms: u64,
}

/// A request that failed and was tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedRetry {
    /// Failed requests so far, from 1.
    pub attempt: u32,
    /// Wait before the next one.
    pub delay_ms: u64,
    /// What went wrong.
    pub class: FaultClass,
    /// For a person; cut at [`EXPLAIN_VALUE_BYTES_MAX`].
    pub message: String,
}

/// One tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedTool {
    /// The model's id.
    pub tool_call_id: String,
    /// Tool name.
    pub name: String,
    /// What the tool may change, if the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// How it ended; absent = it has no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ToolStatus>,
    /// From its own start to its own end; 0 if it never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Who said no, if it was denied and the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<DeniedBy>,
    /// The question whether it may run; absent = nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ExplainedApproval>,
    /// What the model was told when it did not end `ok`; cut at [`EXPLAIN_VALUE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The question whether a call may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedApproval {
    /// What it came to; absent = nobody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ApprovalDecision>,
    /// Who said so; empty = nobody, or it was not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// For how long it is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<AllowScope>,
    /// From the question to the answer, as they were written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// The arguments that it ran with, as JSON, where they were changed; cut at [`EXPLAIN_VALUE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub args: String,
}

/// What one filter changed at one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedChange {
    /// Where.
    pub point: Point,
    /// Who.
    pub filter: String,
    /// The call concerned, for `tool.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// How long the filter took, if the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// In order.
    pub ops: Vec<ExplainedOp>,
    /// At `tool.call`: the filter answered in the tool's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// At `tool.call`: what it asked for beside the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<crate::filter::Tightened>,
}

/// One operation of a filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedOp {
    /// `append`, `insert`, `replace` or `remove`.
    pub op: String,
    /// Position or key; absent for `append`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Value>,
    /// The value before, where the log has it: what an earlier filter made, or what the turn began with.
    ///
    /// What a filter takes out is not logged: a redacted secret must not come back this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; absent for `remove`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// A value was longer than [`EXPLAIN_VALUE_BYTES_MAX`] and is the beginning of its JSON, as a text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A `notice` of the turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedNotice {
    /// For programs.
    pub code: String,
    /// For a person; cut at [`EXPLAIN_VALUE_BYTES_MAX`].
    pub message: String,
}
