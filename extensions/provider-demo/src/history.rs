//! What the demo reads of a conversation. It must not know what is wished for.

use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use serde_json::value::RawValue;

/// A conversation up to the step that is to be made.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct History {
    /// What the user said before, in order.
    pub(crate) earlier: Vec<String>,
    /// What the user said last.
    pub(crate) last: String,
    /// What the tools answered since then, in order.
    pub(crate) results: Vec<ToolResult>,
}

/// What one tool answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolResult {
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) is_error: bool,
    pub(crate) status: ToolStatus,
}

impl History {
    /// Reads the messages of a request; the error names the one that cannot be read.
    pub(crate) fn read(messages: &[Box<RawValue>]) -> Result<Self, String> {
        let mut history = Self::default();
        for (message_idx, raw) in messages.iter().enumerate() {
            let message: Message = serde_json::from_str(raw.get())
                .map_err(|error| format!("cannot read message {message_idx} of the history: {error}"))?;
            history.take(message);
        }
        Ok(history)
    }

    fn take(&mut self, message: Message) {
        if message.role == Role::User {
            let texts = message.parts.into_iter().filter_map(|part| match part {
                Part::Text { text } => Some(text),
                Part::Image { .. }
                | Part::Reasoning { .. }
                | Part::ToolCall { .. }
                | Part::ToolResult { .. }
                | Part::Unknown => None,
            });
            let said = texts.collect::<Vec<_>>().join("\n");
            let before = std::mem::replace(&mut self.last, said);
            self.earlier.extend(Some(before).filter(|text| !text.is_empty()));
            self.results.clear();
            return;
        }
        for part in message.parts {
            if let Part::ToolResult { name, content, is_error, status, .. } = part {
                self.results.push(ToolResult { name, content, is_error, status });
            }
        }
    }
}
