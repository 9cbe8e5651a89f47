//! `provider.v1`: an LLM wire. Many-valued: `provider.v1/stream#openrouter`.
//!
//! `stream` is spawned and long with 120 s of silence at most; a provider whose endpoint is silent for longer shows that
//! it waits by an empty `text_delta`, which nobody else sees. A stream that is cut before its finish reason is the
//! fault `truncated`, never a stop. Codes are the classes of [`FaultClass`]; `detail` is [`ProviderFault`].

use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A provider as `start` contributes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProviderSpec {
    /// Name after `#`.
    pub name: String,
    /// Whether it can be used now.
    pub ready: bool,
    /// Why not, and what to do; empty when ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Model used when a turn names none; empty = the endpoint's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub default_model: String,
    /// Whether it may be chosen when nobody names a provider; a fake never is.
    #[serde(default = "yes")]
    pub selectable: bool,
    /// Whether its messages may hold images. To one that does not say so, a text stands in the place of each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub images: bool,
}

fn yes() -> bool {
    true
}

/// `provider.v1/stream`.
pub struct Stream;

impl Verb for Stream {
    type Params = StreamParams;
    type Reply = StreamReply;
    type Frame = StreamFrame;
    const NAME: &'static str = "provider.v1/stream";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(120_000);
}

/// One request to the model.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamParams {
    /// Model name of the wire; empty = the provider's default.
    #[serde(default)]
    pub model: String,
    /// System prompt; empty = none.
    #[serde(default)]
    pub system: String,
    /// The history as `message::Message`s, raw.
    pub messages: Vec<Box<RawValue>>,
    /// Tools offered, in a stable order.
    #[serde(default)]
    pub tools: Vec<ToolOffer>,
    /// Bound on output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOffer {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// JSON Schema.
    pub input_schema: Value,
}

/// What a model stream shows before its end. Readers skip a `type` that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamFrame {
    /// Visible text.
    TextDelta {
        /// Never cut inside a character.
        text: String,
    },
    /// Reasoning as the model shows it.
    ReasoningDelta {
        /// Never cut inside a character.
        text: String,
    },
    /// What must be sent back with the reasoning of this message.
    ReasoningOpaque {
        /// Known to this provider alone.
        opaque: Value,
    },
    /// A complete tool call.
    ToolCall {
        /// As the model numbered it, or made by the provider extension when it did not.
        tool_call_id: String,
        /// Tool name.
        name: String,
        /// The arguments as the model wrote them; an empty string means `{}`.
        args_text: String,
        /// What must be sent back with this call; known to this provider alone.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        opaque: Value,
    },
    /// A frame of a later version.
    #[serde(other)]
    Unknown,
}

/// The end of a model stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReply {
    /// Why the model stopped.
    pub finish: Finish,
    /// Tokens, if the wire said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that answered, if the wire said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
}

/// Normalised finish reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It said what it had to say.
    Stop,
    /// It waits for tool results.
    ToolCalls,
    /// The bound on output, or the context, was reached.
    Length,
    /// A filter of the endpoint cut it.
    ContentFilter,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Token counts of one request, or a sum of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens the model made.
    #[serde(default)]
    pub output_tokens: u64,
    /// Of the input, read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Of the input, written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
}

/// Class of a provider fault: the fault's code, and what a retry policy decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// 429.
    RateLimited,
    /// 503, 529 or a body that says so.
    ProviderOverloaded,
    /// Other 5xx.
    ServerError,
    /// No connection, DNS, TLS, reset before the first byte; the endpoint has answered before, so it may again.
    Connect,
    /// The same, and nothing was ever heard from that endpoint since the instance started: tried a few times, not waited for.
    Unreachable,
    /// What stands in the address cannot answer as it is: no such name, a certificate that is refused, a server without TLS.
    WrongEndpoint,
    /// The stream ended before its finish reason.
    Truncated,
    /// Nothing came for longer than the limit of silence.
    Stalled,
    /// The stream held what nobody can read.
    Garbled,
    /// 401 or 403, or no key.
    Auth,
    /// 402, or a 429 that no wait heals: no money left, a monthly limit. A person has to act.
    Quota,
    /// The request is larger than the model's context.
    ContextOverflow,
    /// Any other 4xx.
    BadRequest,
    /// A class of a later version.
    #[serde(other)]
    Unknown,
}

impl FaultClass {
    /// The code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::ProviderOverloaded => "provider_overloaded",
            Self::ServerError => "server_error",
            Self::Connect => "connect",
            Self::Unreachable => "unreachable",
            Self::WrongEndpoint => "wrong_endpoint",
            Self::Truncated => "truncated",
            Self::Stalled => "stalled",
            Self::Garbled => "garbled",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::ContextOverflow => "context_overflow",
            Self::BadRequest => "bad_request",
            Self::Unknown => "unknown",
        }
    }

    /// The class with that code, if it is one of this version.
    pub fn of_code(code: &str) -> Option<Self> {
        // A code that is no class is not one of a later version: the router's own codes come this way too.
        Self::deserialize(&Value::from(code)).ok().filter(|class| *class != Self::Unknown)
    }

    /// Whether the same request may succeed later; [`ProviderFault::retryable`] knows better.
    pub const fn retryable(self) -> bool {
        !matches!(
            self,
            Self::WrongEndpoint
                | Self::Auth
                | Self::Quota
                | Self::ContextOverflow
                | Self::BadRequest
                | Self::Unknown
        )
    }
}

/// `detail` of a provider's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderFault {
    /// What kind of trouble.
    pub class: FaultClass,
    /// Whether the same request may succeed later; absent = as the class says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// What the endpoint asked for (Retry-After), in ms from the answer on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// `provider.v1/models`.
pub struct Models;

impl Verb for Models {
    type Params = Empty;
    type Reply = ModelsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "provider.v1/models";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(15_000);
}

/// What a provider offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsReply {
    /// In the endpoint's order.
    pub models: Vec<ModelInfo>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelInfo {
    /// Wire name.
    pub id: String,
    /// Context window in tokens, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<u64>,
}
