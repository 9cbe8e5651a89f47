//! `turn.v1` (served by the kernel: runs exactly one turn) and `turn_host.v1` (served by whoever called `turn.v1/run`).
//!
//! Frames of `run` are [`EventBody`]s of the types that need no durability. Everything else comes through
//! `turn_host.v1/commit`, which is durable before its reply, applied after `frames_before` frames of this call, and
//! shown only then. `run` always answers with a reply, never a fault, once its parameters were read: a failed turn is a result.
//!
//! Whom a turn is for is the `actor` in the meta of `run`; tools, filters, commits and questions inherit it. No body names
//! it: whoever runs turns for others holds the capability `identity` and makes `run` a root call with that meta.

pub use crate::event::AllowScope;
use crate::event::{EventBody, TurnEnded};
use crate::provider::Usage;
use crate::tool::Effect;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Most bytes of the messages that one request sends. Below the bound of a call's body, with room for the tools and the
/// system prompt.
pub const HISTORY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// `turn.v1/run`.
pub struct Run;

impl Verb for Run {
    type Params = RunParams;
    type Reply = TurnEnded;
    type Frame = EventBody;
    const NAME: &'static str = "turn.v1/run";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(300_000);
}

/// One turn.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunParams {
    /// UUIDv7.
    pub conversation_id: String,
    /// UUIDv7.
    pub turn_id: String,
    /// Provider name.
    pub provider: String,
    /// Model; empty = the provider's default.
    #[serde(default)]
    pub model: String,
    /// System prompt.
    #[serde(default)]
    pub system: String,
    /// Absolute working directory for tools.
    pub cwd: String,
    /// Where the tools act; empty = on this machine. With one, no tool of locality `local` is offered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub computer: String,
    /// The history, the input of this turn last.
    pub messages: Vec<Box<RawValue>>,
    /// Most steps; 0 = no bound.
    #[serde(default)]
    pub steps_max: u32,
    /// Where the caller wants to be asked `turn_host.v1/boundary`; a reason that is not here costs no call. Absent =
    /// between steps and when the history is too long; never at the start.
    #[serde(default = "step_and_overflow")]
    pub boundaries: Vec<BoundaryReason>,
    /// What runs the turn; empty or `native` = the kernel's own loop. Another one is given this turn's input alone, the
    /// last of `messages`, which may be all there is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// What that engine's last turn of this conversation left; at most [`crate::engine::ENGINE_STATE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_state: Option<Box<RawValue>>,
}

fn step_and_overflow() -> Vec<BoundaryReason> {
    vec![BoundaryReason::Step, BoundaryReason::Overflow]
}

/// `turn.v1/stop`: ends a running turn in order; it still commits what there is. Answers at once.
pub struct Stop;

impl Verb for Stop {
    type Params = StopParams;
    type Reply = StopReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn.v1/stop";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Which turn, and what to write down as its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopParams {
    /// The turn.
    pub turn_id: String,
    /// The host is going down: the turn ends as `interrupted` instead of `cancelled`.
    #[serde(default)]
    pub interrupted: bool,
}

/// Whether there was something to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReply {
    /// Whether the turn was running here.
    pub stopping: bool,
}

/// `turn_host.v1/commit`. The kernel offers a commit again while it is answered `overloaded`, `unavailable`, `deadline` or
/// `no_space`, for two minutes; any other fault ends the turn.
pub struct Commit;

impl Verb for Commit {
    type Params = CommitParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/commit";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// What must be durable before the turn goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitParams {
    /// The turn.
    pub turn_id: String,
    /// Position of the commit in its turn, from 0; one that is offered again keeps its number. Whoever wrote it
    /// already answers so and writes nothing. Absent = from a kernel that offers each commit once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_idx: Option<u64>,
    /// How many frames of `run` come before this commit.
    pub frames_before: u64,
    /// Messages for the history, raw.
    #[serde(default)]
    pub messages: Vec<Box<RawValue>>,
    /// Events for the log, shown after they are durable.
    #[serde(default)]
    pub events: Vec<EventBody>,
    /// What the turn's engine is to be given with its next turn of this conversation; absent = what it left before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_state: Option<Box<RawValue>>,
    /// With the last one: where the time of the run went, as far as it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<TurnTimings>,
}

/// Where the time of a turn went, in ms; absent = nobody measured it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnTimings {
    /// From its begin, or its adoption, to its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// Reading the history and making the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_ms: Option<u64>,
    /// From the request to the first frame of an answer, of whatever kind; of the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// From the request to the first content; of the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_ms: Option<u64>,
    /// Waiting for commits; the one that ends the turn cannot tell of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_ms: Option<u64>,
    /// Waiting between tries of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// From start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// `turn_host.v1/ask`: whether a tool call that the policy marks `ask` may run. May take as long as a person does.
pub struct Ask;

impl Verb for Ask {
    type Params = AskParams;
    type Reply = AskReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/ask";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// The call in question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskParams {
    /// The conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// The call.
    pub tool_call_id: String,
    /// Tool name.
    pub tool: String,
    /// What it may change.
    pub effect: Effect,
    /// Its arguments.
    pub args: Value,
    /// The filter that demands the question, empty = the policy does. What was allowed for the conversation before
    /// does not answer a filter's question.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asked_by: String,
}

/// The answer. Only `allow` allows. Question and answer are events of the turn (`approval_requested`,
/// `approval_resolved`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum AskReply {
    /// It may run.
    Allow {
        /// For how long this holds.
        #[serde(default)]
        scope: AllowScope,
        /// What to run it with instead: checked against the tool's schema, told in the log and to the model; what does
        /// not fit is a deny. Filters are not asked again. Absent = as it was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Map<String, Value>>,
        /// Who allows it; empty = not told.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// It may not.
    Deny {
        /// Told to the model.
        reason: String,
        /// Who says so; empty = nobody was there, or not told.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// A decision of a later version: it may not.
    #[serde(other)]
    Unknown,
}

impl AskReply {
    /// It may run as it was asked.
    pub fn allow(scope: AllowScope, by: impl Into<String>) -> Self {
        Self::Allow { scope, args: None, by: by.into() }
    }

    /// It may not, as nobody in particular says.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny { reason: reason.into(), by: String::new() }
    }
}

/// `turn_host.v1/keep`: keeps an image that a tool answered, so that the history holds its name alone.
pub struct Keep;

impl Verb for Keep {
    type Params = KeepParams;
    type Reply = KeepReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/keep";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// The bytes of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepParams {
    /// Base64 with padding, of at most `message::IMAGE_BYTES_MAX` bytes.
    pub data: String,
}

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepReply {
    /// As in `ImageSource::Blob`.
    pub hash: String,
}

/// `turn_host.v1/steering`: what was said while the turn ran. Asked once after each step, the last one included: where there
/// is something, the turn goes on.
///
/// Nothing is taken by being answered: it is taken when a commit holds the `steering` event with its id, and is answered
/// again until then. After a stop nobody asks.
pub struct Steering;

impl Verb for Steering {
    type Params = Empty;
    type Reply = SteeringReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/steering";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Messages to go on with; the kernel commits them with a `steering` event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SteeringReply {
    /// User messages, raw.
    #[serde(default)]
    pub messages: Vec<Box<RawValue>>,
    /// What the caller calls them, one each; they come back in the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// `turn_host.v1/boundary`: the caller may replace the working history (compaction), where it said that it wants to be
/// asked ([`RunParams::boundaries`]).
///
/// For `overflow` it is asked once a step, and the step is tried again if the history was replaced; else, and when the new
/// one is too long as well, the turn ends as `failed` with the class `context_overflow`. A fault leaves the history as it
/// is, with a notice.
pub struct Boundary;

impl Verb for Boundary {
    type Params = BoundaryParams;
    type Reply = BoundaryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/boundary";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(300_000);
}

/// Where the turn is, and how full the context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundaryParams {
    /// The turn; empty = from a kernel that does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub turn_id: String,
    /// The step that comes next, or that is tried again; empty likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step_id: String,
    /// Why it is asked.
    #[serde(default)]
    pub reason: BoundaryReason,
    /// The last step's tokens.
    #[serde(default)]
    pub usage: Usage,
}

/// Why `boundary` is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundaryReason {
    /// The turn begins: before its first step, and before the filters of its input.
    Start,
    /// Between two steps.
    #[default]
    Step,
    /// The provider refused the history as too long, or it has more than [`HISTORY_BYTES_MAX`].
    Overflow,
    /// A reason of a later version.
    #[serde(other)]
    Unknown,
}

/// What to go on with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BoundaryReply {
    /// Absent = unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Box<RawValue>>>,
}

/// `turn_host.v1/history`: the conversation as it stands, this turn's input and what it has committed included. Asked for
/// by engines that were given the input alone.
pub struct History;

impl Verb for History {
    type Params = HistoryParams;
    type Reply = HistoryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "turn_host.v1/history";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// Of which turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryParams {
    /// The turn.
    pub turn_id: String,
}

/// The history, as `turn.v1/run` of the kernel's own loop has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HistoryReply {
    /// Raw `message::Message`s in order.
    #[serde(default)]
    pub messages: Vec<Box<RawValue>>,
}
