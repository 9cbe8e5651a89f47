//! The history for the next request: the messages as they were written, and what must be mended in them so that a
//! provider takes them. Mending is pure, idempotent and never written back.

use crate::keys;
use crate::read::read_message;
use crate::store::Pages;
use dispatch_sdk::contracts::conversations::MessagesReply;
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::{Fault, Host};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashSet;

/// Messages read at a time.
const PAGE_MESSAGES: usize = 500;

/// What the model reads in place of a result that never came.
pub(crate) const UNKNOWN_OUTCOME: &str = "interrupted: the host ended while this call ran, and whether it took effect \
     is not known; look before running it again";

/// Reads and mends the history of a conversation.
pub(crate) async fn load(host: &Host, id: &str) -> Result<MessagesReply, Fault> {
    let mut rows = Vec::new();
    let mut skipped = 0;
    let mut pages = Pages::new(keys::message(id, 0), keys::messages_end(id), PAGE_MESSAGES, false);
    while let Some(entries) = pages.next(host).await? {
        for entry in entries {
            match read_message(host, &entry).await? {
                Some(message) => rows.push(message),
                None => skipped += 1,
            }
        }
    }
    Ok(MessagesReply { messages: mend(rows), skipped })
}

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
}

/// Mends a history: assistant messages that say nothing are dropped; each call has exactly one result, in the tool
/// messages directly after it, made up where it is missing; results that answer no call are dropped.
/// Whatever stays, stays byte for byte.
pub(crate) fn mend(rows: Vec<(Outline, Box<RawValue>)>) -> Vec<Box<RawValue>> {
    let mut mended = Vec::with_capacity(rows.len());
    let mut open: Vec<(String, String)> = Vec::new();
    let mut answered: HashSet<String> = HashSet::new();
    for (outline, value) in rows {
        match outline.role {
            Role::Tool => {
                let fresh = |id: &String| open.iter().any(|(call, _)| call == id) && !answered.contains(id);
                if outline.results.is_empty() || !outline.results.iter().all(fresh) {
                    continue;
                }
                answered.extend(outline.results);
                mended.push(value);
            }
            Role::Assistant if !outline.has_text && outline.calls.is_empty() => {}
            // Whoever reads the history passes over it, so it stands between no call and its result.
            Role::Unknown => mended.push(value),
            Role::Assistant | Role::System | Role::User => {
                answer_open(&mut open, &mut answered, &mut mended);
                open = outline.calls;
                mended.push(value);
            }
        }
    }
    answer_open(&mut open, &mut answered, &mut mended);
    mended
}

/// Makes up the results that the calls before this place lack.
fn answer_open(
    open: &mut Vec<(String, String)>,
    answered: &mut HashSet<String>,
    mended: &mut Vec<Box<RawValue>>,
) {
    for (id, name) in open.drain(..) {
        if answered.insert(id.clone()) {
            mended.push(unknown_result(&id, &name));
        }
    }
    answered.clear();
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
