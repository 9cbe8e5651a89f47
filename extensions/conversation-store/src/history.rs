//! The history for the next request: the messages as they were written, and what must be mended in them so that a
//! provider takes them. Mending is pure, idempotent and never written back.

use crate::faults;
use crate::keys;
use crate::read::read_message;
use crate::spill;
use crate::store::Pages;
use dispatch_sdk::contracts::conversations::{MESSAGES_BYTES_MAX, MessagesParams, MessagesReply};
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::storage::SCAN_BYTES_MAX;
use dispatch_sdk::{Fault, Host};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashSet;

/// Messages read at a time.
const PAGE_MESSAGES: usize = 500;
/// Messages read back at a time to where a page can begin; mostly the first is it.
const PAGE_BACK: usize = 8;

/// What the model reads in place of a result that never came.
pub(crate) const UNKNOWN_OUTCOME: &str = "interrupted: the host ended while this call ran, and whether it took effect \
     is not known; look before running it again";

/// Reads and mends a page of the history of a conversation.
pub(crate) async fn page(host: &Host, params: &MessagesParams) -> Result<MessagesReply, Fault> {
    let MessagesParams { conversation_id: id, after, limit, bytes_max } = params;
    let in_pages = after.is_some() || *limit > 0 || *bytes_max > 0;
    let limit = if *limit == 0 { usize::MAX } else { *limit };
    let bytes_max = faults::limit(*bytes_max, MESSAGES_BYTES_MAX)?;
    let mut mending = Mending::default();
    if let Some(after) = after {
        come_to(host, id, *after, &mut mending).await?;
    }
    let first = after.map_or(0, |after| after.saturating_add(1));
    let (start, end) = (keys::message(id, first), keys::messages_end(id));
    let mut pages = Pages::new(start, end, PAGE_MESSAGES.min(limit.saturating_add(1)), false)
        .of_bytes(bytes_max.min(SCAN_BYTES_MAX));
    let (mut last, mut n_rows, mut n_bytes, mut skipped) = (None, 0, 0, 0);
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            n_bytes += spill::bytes_of(entry);
            if n_rows == limit || (n_rows > 0 && n_bytes > bytes_max) {
                if !in_pages {
                    return Err(faults::only_in_pages(id, bytes_max));
                }
                return Ok(MessagesReply { messages: mending.take(), skipped, next: last });
            }
            n_rows += 1;
            last = keys::number_of(&entry.key);
            match read_message(host, entry).await? {
                Some((outline, value)) => mending.push(outline, value),
                None => skipped += 1,
            }
        }
    }
    Ok(MessagesReply { messages: mending.finish(), skipped, next: None })
}

/// Comes to where mending stands after the message `after`: from the last one back at which nothing before it matters.
async fn come_to(host: &Host, id: &str, after: u64, mending: &mut Mending) -> Result<(), Fault> {
    let (start, end) = (keys::message(id, 0), keys::message(id, after.saturating_add(1)));
    let mut pages = Pages::new(start, end, PAGE_BACK, true);
    let mut outlines = Vec::new();
    'back: while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            let Some((outline, _)) = read_message(host, entry).await? else { continue };
            let is_start = outline.answers_what_is_open();
            outlines.push(outline);
            if is_start {
                break 'back;
            }
        }
    }
    for outline in outlines.into_iter().rev() {
        mending.push(outline, RawValue::NULL.to_owned());
    }
    // It was told with the pages before.
    mending.take();
    Ok(())
}

/// Bytes of all messages of a conversation, as they are kept.
pub(crate) async fn n_bytes(host: &Host, id: &str) -> Result<u64, Fault> {
    let mut n_bytes = 0;
    let mut pages = Pages::new(keys::message(id, 0), keys::messages_end(id), PAGE_MESSAGES, false);
    while let Some(entries) = pages.next(host).await? {
        n_bytes += entries.iter().map(|entry| spill::bytes_of(entry) as u64).sum::<u64>();
    }
    Ok(n_bytes)
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

    /// Whether calls before it get no result after it: what came before does not matter to what comes.
    fn answers_what_is_open(&self) -> bool {
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
