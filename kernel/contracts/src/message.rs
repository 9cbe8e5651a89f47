//! Messages of a conversation, as providers read them: `{"role": "user", "parts": [{"type": "text", "text": "…"}]}`.
//!
//! They travel as raw JSON slices; only their producer and the provider parse them.
//! One assistant message per step; each tool result is a message of its own, directly after its call (byte-stable replay).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of one image, before base64.
pub const IMAGE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Most bytes of an image's address.
pub const IMAGE_URL_BYTES_MAX: usize = 2048;
/// Most bytes of a media type.
pub const MEDIA_TYPE_BYTES_MAX: usize = 128;

/// Who speaks. Readers skip a message of somebody whom they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A summary or instruction inside the history; the system prompt itself is not a message.
    System,
    /// The person, or the program that speaks for it.
    User,
    /// The model.
    Assistant,
    /// The result of one tool call.
    Tool,
    /// Somebody of a later version.
    #[serde(other)]
    Unknown,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// One part of a message. Readers skip a `type` they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Visible text.
    Text {
        /// UTF-8, unbounded here; bounded where it is made.
        text: String,
    },
    /// A picture, in a user's message or in the result of a tool.
    Image {
        /// Where its bytes are.
        source: ImageSource,
        /// As `image/png`.
        media_type: String,
    },
    /// The model's reasoning: never shown to another model as text.
    Reasoning {
        /// What the model showed of it.
        text: String,
        /// What only the provider `producer` understands (signatures, encrypted content), sent back byte for byte.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        opaque: Value,
        /// `<provider>/<model>` that made it; dropped when another continues.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        producer: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// Unique in its turn.
        tool_call_id: String,
        /// Tool name.
        name: String,
        /// Arguments; an object when the model wrote one, else `{"_malformed": "…"}`.
        args: Value,
        /// What only the provider `producer` understands of this call (a signature), sent back byte for byte.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        opaque: Value,
        /// `<provider>/<model>` that made `opaque`; it is dropped when another continues. Empty where there is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        producer: String,
    },
    /// What came of it.
    ToolResult {
        /// The call it answers.
        tool_call_id: String,
        /// Tool name.
        name: String,
        /// What the model reads.
        content: String,
        /// Whether it failed.
        #[serde(default)]
        is_error: bool,
        /// `ok`, `error`, `denied`, `cancelled` or `outcome_unknown`.
        status: ToolStatus,
        /// Where there are any, what the model reads instead of `content`: texts and images.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
    },
    /// A part of a later version; kept when forwarded, skipped when read.
    #[serde(other)]
    Unknown,
}

/// Where the bytes of an image are. Readers say in words that there was an image where they do not know the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ImageSource {
    /// Kept with the conversations: `conversations.v1/blob` answers the bytes.
    Blob {
        /// SHA-256, lower-case hex.
        hash: String,
    },
    /// On the web; the model's endpoint fetches it, nobody here.
    Url {
        /// `https://…`, at most [`IMAGE_URL_BYTES_MAX`].
        url: String,
    },
    /// The bytes themselves, only on their way to where they are kept; never in a history.
    Data {
        /// Base64 with padding, of at most [`IMAGE_BYTES_MAX`] bytes.
        data: String,
    },
    /// A place of a later version.
    #[serde(other)]
    Unknown,
}

/// How a tool call ended. A way that the reader does not know counts as `outcome_unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// It ran and answered.
    Ok,
    /// It ran and failed, or could not be run as asked.
    Error,
    /// The policy or a person refused it; it never ran.
    Denied,
    /// The turn was stopped; it may have run in part.
    Cancelled,
    /// The host died while it ran; never rerun silently.
    #[serde(other)]
    OutcomeUnknown,
}

impl Message {
    /// A user message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::Text { text: text.into() }] }
    }
}
