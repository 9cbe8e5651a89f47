//! Messages of a conversation as strict Chat Completions servers take them.
//!
//! - Content is a string, never a list. An assistant message that only calls tools has `content: null`, as the reference
//!   writes it: every server answers so itself, while an empty string is refused by some as an empty block.
//! - An assistant message with nothing to show (reasoning alone) is left out.
//! - Results stand directly behind their calls: one without a call is left out, a call without one is answered for.
//! - Reasoning goes back only to the model it came from, and only if the build says so.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>.

use dispatch_sdk::contracts::message::{Message, Part, Role};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;

/// What a model reads in place of a result that was never recorded.
const NO_RESULT: &str = "(no result: the call was not finished)";

/// One message on the wire.
#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum WireMessage {
    System {
        content: String,
    },
    User {
        content: String,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        reasoning_content: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall>,
    },
    Tool {
        tool_call_id: String,
        content: String,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct WireCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction,
}

#[derive(Debug, Serialize)]
struct WireFunction {
    name: String,
    arguments: String,
}

/// A history on the wire.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) messages: Vec<WireMessage>,
    /// Every id of a call.
    pub(super) ids: HashSet<String>,
    /// The calls of the last assistant message that have no result yet, in order.
    unanswered: Vec<String>,
}

/// Converts a history; `producer` is whose reasoning is sent back, if any is.
pub(super) fn convert(system: &str, history: &[Message], producer: Option<&str>) -> Converted {
    let mut converted = Converted::default();
    if !system.is_empty() {
        converted.messages.push(WireMessage::System { content: system.to_owned() });
    }
    for message in history {
        match message.role {
            Role::Tool => converted.results(&message.parts),
            Role::System => converted.push(WireMessage::System { content: joined(&message.parts) }),
            Role::User => converted.push(WireMessage::User { content: joined(&message.parts) }),
            Role::Assistant => converted.assistant(&message.parts, producer),
            Role::Unknown => {}
        }
    }
    converted.answer_the_rest();
    converted
}

impl Converted {
    fn push(&mut self, message: WireMessage) {
        self.answer_the_rest();
        self.messages.push(message);
    }

    fn assistant(&mut self, parts: &[Part], producer: Option<&str>) {
        self.answer_the_rest();
        let mut content = String::new();
        let mut reasoning_content = String::new();
        let mut tool_calls: Vec<WireCall> = Vec::new();
        for part in parts {
            match part {
                // The deltas of one answer: they were one text before they were cut into parts.
                Part::Text { text } => content.push_str(text),
                Part::Reasoning { text, producer: made_by, .. } if producer == Some(made_by) => {
                    reasoning_content.push_str(text);
                }
                Part::ToolCall { tool_call_id, .. } if self.unanswered.contains(tool_call_id) => {}
                Part::ToolCall { tool_call_id, name, args } => {
                    self.unanswered.push(tool_call_id.clone());
                    self.ids.insert(tool_call_id.clone());
                    tool_calls.push(call(tool_call_id, name, args));
                }
                Part::Reasoning { .. } | Part::ToolResult { .. } | Part::Unknown => {}
            }
        }
        let content = Some(content).filter(|text| !text.is_empty());
        if content.is_some() || !tool_calls.is_empty() {
            self.messages.push(WireMessage::Assistant { content, reasoning_content, tool_calls });
        }
    }

    fn results(&mut self, parts: &[Part]) {
        for part in parts {
            let Part::ToolResult { tool_call_id, content, .. } = part else { continue };
            let Some(open_idx) = self.unanswered.iter().position(|id| id == tool_call_id) else { continue };
            self.unanswered.remove(open_idx);
            let (tool_call_id, content) = (tool_call_id.clone(), content.clone());
            self.messages.push(WireMessage::Tool { tool_call_id, content });
        }
    }

    fn answer_the_rest(&mut self) {
        for tool_call_id in self.unanswered.drain(..) {
            self.messages.push(WireMessage::Tool { tool_call_id, content: NO_RESULT.to_owned() });
        }
    }
}

fn call(id: &str, name: &str, args: &Value) -> WireCall {
    let arguments = if args.is_null() { "{}".to_owned() } else { args.to_string() };
    let function = WireFunction { name: name.to_owned(), arguments };
    WireCall { id: id.to_owned(), kind: "function", function }
}

fn joined(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Unknown => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
