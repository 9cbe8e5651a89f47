//! What an engine keeps with a conversation from one of its turns to the next. Opaque; bounded by
//! [`crate::engine::ENGINE_STATE_BYTES_MAX`].

use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `conversations.v1/engine_state`: what an engine's last append with a state has left in a conversation.
pub struct EngineState;

impl Verb for EngineState {
    type Params = EngineStateParams;
    type Reply = EngineStateReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/engine_state";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStateParams {
    /// The conversation.
    pub conversation_id: String,
    /// The engine's name, 1 to [`ENGINE_NAME_BYTES_MAX`] bytes.
    pub engine: String,
}

/// Most bytes of an engine's name.
pub const ENGINE_NAME_BYTES_MAX: usize = 256;

/// The state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EngineStateReply {
    /// As it was appended; absent = it never left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RawValue>>,
}

/// A state on its way into the store; it replaces that engine's last one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewEngineState {
    /// The engine's name.
    pub engine: String,
    /// Opaque.
    pub state: Box<RawValue>,
}
