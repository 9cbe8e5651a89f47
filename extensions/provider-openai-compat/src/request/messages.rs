//! Messages of a conversation as strict Chat Completions servers take them.
//!
//! - Content is a string, never a list. An assistant message that only calls tools has `content: null`, as the reference
//!   writes it: every server answers so itself, while an empty string is refused by some as an empty block.
//! - An assistant message with nothing to show (reasoning alone) is left out.
//! - Results stand directly behind their calls: one without a call is left out, a call without one is answered for.
//! - User messages that meet (a turn between them failed, or said nothing that is shown) are one: the chat templates of
//!   several models refuse two in a row.
//! - Reasoning goes back only to the model it came from: none, that of the running turn, or all.
//! - Ids of calls go as they came, or in the form that every server takes.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>.

use crate::ids::{is_nine, nine};
use crate::ways::Written;
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

/// How a history is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'s> {
    /// `<provider>/<model>`: whose reasoning is sent back.
    pub(super) producer: &'s str,
    pub(super) reasoning: Sent,
    pub(super) nine_ids: bool,
}

/// What of the reasoning goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    /// What was said since the last user message.
    OfTurn,
    All,
}

/// A history on the wire.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) messages: Vec<WireMessage>,
    /// Every id of a call, as it came.
    pub(super) ids: HashSet<String>,
    pub(super) written: Written,
    /// The calls of the last assistant message that have no result yet, in order.
    unanswered: Vec<String>,
}

/// Converts a history.
pub(super) fn convert(system: &str, history: &[Message], style: Style<'_>) -> Converted {
    let mut converted = Converted::default();
    if !system.is_empty() {
        converted.messages.push(WireMessage::System { content: system.to_owned() });
    }
    let turn_began = history.iter().rposition(|message| message.role == Role::User).unwrap_or(0);
    for (message_idx, message) in history.iter().enumerate() {
        let sends_reasoning = match style.reasoning {
            Sent::Nothing => false,
            Sent::OfTurn => message_idx >= turn_began,
            Sent::All => true,
        };
        match message.role {
            Role::Tool => converted.results(&message.parts, style),
            Role::System => converted.push(WireMessage::System { content: joined(&message.parts) }, style),
            Role::User => converted.user(joined(&message.parts), style),
            Role::Assistant => converted.assistant(&message.parts, style, sends_reasoning),
            Role::Unknown => {}
        }
    }
    converted.answer_the_rest(style);
    converted
}

impl Converted {
    fn push(&mut self, message: WireMessage, style: Style<'_>) {
        self.answer_the_rest(style);
        self.messages.push(message);
    }

    fn user(&mut self, said: String, style: Style<'_>) {
        self.answer_the_rest(style);
        match self.messages.last_mut() {
            Some(WireMessage::User { content }) => {
                content.push_str("\n\n");
                content.push_str(&said);
            }
            _ => self.messages.push(WireMessage::User { content: said }),
        }
    }

    fn assistant(&mut self, parts: &[Part], style: Style<'_>, sends_reasoning: bool) {
        self.answer_the_rest(style);
        let mut content = String::new();
        let mut reasoning_content = String::new();
        let mut tool_calls: Vec<WireCall> = Vec::new();
        for part in parts {
            match part {
                // The deltas of one answer: they were one text before they were cut into parts.
                Part::Text { text } => content.push_str(text),
                Part::Reasoning { text, producer, .. } if style.producer == producer => {
                    reasoning_content.push_str(text);
                }
                Part::ToolCall { tool_call_id, .. } if self.unanswered.contains(tool_call_id) => {}
                Part::ToolCall { tool_call_id, name, args } => {
                    self.unanswered.push(tool_call_id.clone());
                    self.ids.insert(tool_call_id.clone());
                    self.written.has_other_ids |= !style.nine_ids && !is_nine(tool_call_id);
                    tool_calls.push(call(style.id(tool_call_id), name, args));
                }
                Part::Reasoning { .. } | Part::ToolResult { .. } | Part::Unknown => {}
            }
        }
        if !sends_reasoning {
            self.written.left_reasoning_out |= !reasoning_content.is_empty();
            reasoning_content.clear();
        }
        let content = Some(content).filter(|text| !text.is_empty());
        if content.is_some() || !tool_calls.is_empty() {
            self.written.has_reasoning |= !reasoning_content.is_empty();
            self.messages.push(WireMessage::Assistant { content, reasoning_content, tool_calls });
        }
    }

    fn results(&mut self, parts: &[Part], style: Style<'_>) {
        for part in parts {
            let Part::ToolResult { tool_call_id, content, .. } = part else { continue };
            let Some(open_idx) = self.unanswered.iter().position(|id| id == tool_call_id) else { continue };
            self.unanswered.remove(open_idx);
            let (tool_call_id, content) = (style.id(tool_call_id), content.clone());
            self.messages.push(WireMessage::Tool { tool_call_id, content });
        }
    }

    fn answer_the_rest(&mut self, style: Style<'_>) {
        for id in self.unanswered.drain(..) {
            let (tool_call_id, content) = (style.id(&id), NO_RESULT.to_owned());
            self.messages.push(WireMessage::Tool { tool_call_id, content });
        }
    }
}

impl Style<'_> {
    /// An id on the wire; one that has the strictest form already is not changed.
    fn id(self, id: &str) -> String {
        if self.nine_ids && !is_nine(id) { nine(id) } else { id.to_owned() }
    }
}

fn call(id: String, name: &str, args: &Value) -> WireCall {
    let arguments = if args.is_null() { "{}".to_owned() } else { args.to_string() };
    let function = WireFunction { name: name.to_owned(), arguments };
    WireCall { id, kind: "function", function }
}

fn joined(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Unknown => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
