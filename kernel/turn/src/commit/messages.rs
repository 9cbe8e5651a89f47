//! The messages that a turn adds to the history, as bytes.

use crate::act::calls::{Outcome, ToolCall};
use crate::commit::draft::DraftPart;
use crate::commit::events::raw;
use dispatch_contracts::message::{Message, Part, Role, ToolStatus};
use serde_json::value::RawValue;

/// The assistant's message without its calls; `None` when it said nothing. What stood around a call is one part then.
pub(crate) fn said(parts: &[DraftPart], producer: &str) -> Option<Box<RawValue>> {
    let mut said: Vec<Part> = Vec::new();
    for part in parts.iter().filter_map(|part| kept(part, producer)) {
        match (said.last_mut(), part) {
            (Some(Part::Text { text: last }), Part::Text { text }) => last.push_str(&text),
            (_, part) => said.push(part),
        }
    }
    (!said.is_empty()).then(|| raw(&Message { role: Role::Assistant, parts: said }))
}

/// The assistant's message with its calls; `calls` are those of `parts`, in order.
pub(crate) fn asked(parts: &[DraftPart], calls: &[ToolCall<'_>], producer: &str) -> Box<RawValue> {
    let mut calls = calls.iter().map(|call| Part::ToolCall {
        tool_call_id: call.id.clone(),
        name: call.asked_name.clone(),
        args: call.asked_args.clone(),
        opaque: call.opaque.clone(),
        producer: if call.opaque.is_null() { String::new() } else { producer.to_owned() },
    });
    let parts = parts.iter().filter_map(|part| kept(part, producer).or_else(|| calls.next())).collect();
    raw(&Message { role: Role::Assistant, parts })
}

/// The result of one call.
pub(crate) fn tool_result(call: &ToolCall<'_>, outcome: &Outcome) -> Box<RawValue> {
    let part = Part::ToolResult {
        tool_call_id: call.id.clone(),
        name: call.asked_name.clone(),
        content: outcome.content.clone(),
        is_error: outcome.status != ToolStatus::Ok,
        status: outcome.status,
        parts: outcome.parts.clone(),
    };
    raw(&Message { role: Role::Tool, parts: vec![part] })
}

/// The part as the history keeps it; `None` for a call.
fn kept(part: &DraftPart, producer: &str) -> Option<Part> {
    match part {
        DraftPart::Text(text) => Some(Part::Text { text: text.clone() }),
        DraftPart::Reasoning { text, opaque } => Some(Part::Reasoning {
            text: text.clone(),
            opaque: opaque.clone(),
            producer: producer.to_owned(),
        }),
        DraftPart::Call(_) => None,
    }
}
