//! What must be mended in a history so that a provider takes it. Pure, idempotent and never written back.

use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashSet;

/// What the model reads in place of a result that never came.
pub(crate) const UNKNOWN_OUTCOME: &str = "interrupted: the host ended while this call ran, and whether it took effect \
     is not known; look before running it again";

/// What mending looks at in a message.
#[derive(Debug)]
pub(crate) struct Outline {
    role: Role,
    has_text: bool,
    /// Ids and names, in order.
    calls: Vec<(String, String)>,
    results: Vec<String>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: Role,
    parts: Vec<RawPart>,
}

#[derive(Deserialize)]
struct RawPart {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    tool_call_id: String,
    #[serde(default)]
    name: String,
}

impl Outline {
    /// `None` when it is not a message.
    pub(crate) fn read(value: &RawValue) -> Option<Self> {
        let message: RawMessage = serde_json::from_str(value.get()).ok()?;
        let mut outline =
            Self { role: message.role, has_text: false, calls: Vec::new(), results: Vec::new() };
        for part in message.parts {
            match part.kind.as_str() {
                "text" => outline.has_text |= !part.text.trim().is_empty(),
                "tool_call" => outline.calls.push((part.tool_call_id, part.name)),
                "tool_result" => outline.results.push(part.tool_call_id),
                _ => {}
            }
        }
        Some(outline)
    }

    /// Whether calls before it get no result after it: what came before does not matter to what comes.
    pub(crate) fn answers_what_is_open(&self) -> bool {
        match self.role {
            Role::System | Role::User => true,
            Role::Assistant => self.has_text || !self.calls.is_empty(),
            Role::Tool | Role::Unknown => false,
        }
    }
}

/// Mends a history, message by message: assistant messages that say nothing are dropped; each call has exactly one result,
/// in the tool messages directly after it, made up where it is missing; results that answer no call are dropped.
/// Whatever stays, stays byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Mending {
    /// Ids and names of the calls that wait for their results.
    open: Vec<(String, String)>,
    answered: HashSet<String>,
    mended: Vec<Box<RawValue>>,
}

impl Mending {
    pub(crate) fn push(&mut self, outline: Outline, value: Box<RawValue>) {
        if outline.answers_what_is_open() {
            self.answer_open();
            self.open = outline.calls;
            return self.mended.push(value);
        }
        match outline.role {
            Role::Tool => {
                let fresh =
                    |id: &String| self.open.iter().any(|(call, _)| call == id) && !self.answered.contains(id);
                if outline.results.is_empty() || !outline.results.iter().all(fresh) {
                    return;
                }
                self.answered.extend(outline.results);
                self.mended.push(value);
            }
            // Whoever reads the history passes over it, so it stands between no call and its result.
            Role::Unknown => self.mended.push(value),
            // It says nothing.
            Role::Assistant | Role::System | Role::User => {}
        }
    }

    /// What is mended so far; it goes on from there.
    pub(crate) fn take(&mut self) -> Vec<Box<RawValue>> {
        std::mem::take(&mut self.mended)
    }

    /// What is left, at the end of the history.
    pub(crate) fn finish(mut self) -> Vec<Box<RawValue>> {
        self.answer_open();
        self.mended
    }

    /// Makes up the results that the calls before this place lack.
    fn answer_open(&mut self) {
        for (id, name) in self.open.drain(..) {
            if self.answered.insert(id.clone()) {
                self.mended.push(unknown_result(&id, &name));
            }
        }
        self.answered.clear();
    }
}

/// The tool message for a call whose outcome nobody knows.
pub(crate) fn unknown_result(tool_call_id: &str, name: &str) -> Box<RawValue> {
    let part = Part::ToolResult {
        tool_call_id: tool_call_id.to_owned(),
        name: name.to_owned(),
        content: UNKNOWN_OUTCOME.to_owned(),
        is_error: true,
        status: ToolStatus::OutcomeUnknown,
        parts: Vec::new(),
    };
    let message = Message { role: Role::Tool, parts: vec![part] };
    to_raw_value(&message).expect("a struct of strings always encodes")
}
