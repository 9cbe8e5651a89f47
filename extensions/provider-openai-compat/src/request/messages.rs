//! Messages of a conversation as strict Chat Completions servers take them.
//!
//! - Content is a string, and a list only in a user's message with images. Images of tool results follow in such a message
//!   behind all results of the step, since no other role may hold them. An assistant message that only calls tools has `content: null`, as the reference
//!   writes it: every server answers so itself, while an empty string is refused by some as an empty block.
//! - An assistant message with nothing to show (reasoning alone) is left out.
//! - Results stand directly behind their calls: one without a call is left out, a call without one is answered for.
//! - User messages that meet (a turn between them failed, or said nothing that is shown) are one: the chat templates of
//!   several models refuse two in a row.
//! - Reasoning goes back only to the model it came from: none, that of the running turn, or all.
//! - Ids of calls go as they came, or in the form that every server takes.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>.

use super::content::{Content, Piece, divided};
use super::style::{Sent, Style};
use crate::ids::is_nine;
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
        content: Content,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        reasoning_content: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        reasoning_details: Vec<Value>,
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
    /// As it came with the call: signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Value>,
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
    /// Every id of a call, as it came.
    pub(super) ids: HashSet<String>,
    pub(super) written: Written,
    /// The calls of the last assistant message that have no result yet, in order.
    unanswered: Vec<String>,
    /// What the results of the last assistant message show, until all of them stand.
    shown: Vec<Piece>,
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
            Role::System => {
                let (content, _) = divided(&message.parts, Style { shows_images: false, ..style });
                converted.push(WireMessage::System { content }, style);
            }
            Role::User => converted.user(Content::of(&message.parts, style), style),
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

    fn user(&mut self, said: Content, style: Style<'_>) {
        self.answer_the_rest(style);
        self.written.has_images |= said.has_images();
        match self.messages.last_mut() {
            Some(WireMessage::User { content }) => content.push(said),
            _ => self.messages.push(WireMessage::User { content: said }),
        }
    }

    fn assistant(&mut self, parts: &[Part], style: Style<'_>, sends_reasoning: bool) {
        self.answer_the_rest(style);
        let mut content = String::new();
        let mut reasoning_content = String::new();
        let mut tool_calls: Vec<WireCall> = Vec::new();
        let mut reasoning_details: Vec<Value> = Vec::new();
        for part in parts {
            match part {
                // The deltas of one answer: they were one text before they were cut into parts.
                Part::Text { text } => content.push_str(text),
                Part::Reasoning { text, opaque, producer } if style.producer == producer => {
                    reasoning_content.push_str(text);
                    let details = opaque["reasoning_details"].as_array().filter(|_| style.details);
                    reasoning_details.extend(details.into_iter().flatten().cloned());
                }
                Part::ToolCall { tool_call_id, .. } if self.unanswered.contains(tool_call_id) => {}
                Part::ToolCall { tool_call_id, name, args, opaque, producer } => {
                    self.unanswered.push(tool_call_id.clone());
                    self.ids.insert(tool_call_id.clone());
                    self.written.has_other_ids |= !style.nine_ids && !is_nine(tool_call_id);
                    let extra_content = opaque.get("extra_content").filter(|_| style.producer == producer);
                    tool_calls.push(call(style.id(tool_call_id), name, args, extra_content.cloned()));
                }
                Part::Image { .. } | Part::Reasoning { .. } | Part::ToolResult { .. } | Part::Unknown => {}
            }
        }
        if !sends_reasoning {
            self.written.left_reasoning_out |= !reasoning_content.is_empty();
            reasoning_content.clear();
        }
        let content = Some(content).filter(|text| !text.is_empty());
        if content.is_some() || !tool_calls.is_empty() {
            self.written.has_reasoning |= !reasoning_content.is_empty();
            self.messages.push(WireMessage::Assistant {
                content,
                reasoning_content,
                tool_calls,
                reasoning_details,
            });
        }
    }

    fn results(&mut self, parts: &[Part], style: Style<'_>) {
        for part in parts {
            let Part::ToolResult { tool_call_id, name, content, parts, .. } = part else { continue };
            let Some(open_idx) = self.unanswered.iter().position(|id| id == tool_call_id) else { continue };
            self.unanswered.remove(open_idx);
            let (said, images) = divided(parts, style);
            if !images.is_empty() {
                self.shown.push(Piece::Text { text: format!("What `{name}` showed:") });
                self.shown.extend(images);
            }
            let content = if said.is_empty() { content.clone() } else { said };
            let tool_call_id = style.id(tool_call_id);
            self.messages.push(WireMessage::Tool { tool_call_id, content });
        }
    }

    fn answer_the_rest(&mut self, style: Style<'_>) {
        for id in self.unanswered.drain(..) {
            let (tool_call_id, content) = (style.id(&id), NO_RESULT.to_owned());
            self.messages.push(WireMessage::Tool { tool_call_id, content });
        }
        if !self.shown.is_empty() {
            self.written.has_images = true;
            let content = Content::Pieces(std::mem::take(&mut self.shown));
            self.messages.push(WireMessage::User { content });
        }
    }
}

fn call(id: String, name: &str, args: &Value, extra_content: Option<Value>) -> WireCall {
    let arguments = if args.is_null() { "{}".to_owned() } else { args.to_string() };
    let function = WireFunction { name: name.to_owned(), arguments };
    WireCall { id, kind: "function", function, extra_content }
}
