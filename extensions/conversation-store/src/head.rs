//! The record at the head of each conversation: its version is what every write is conditional on.

use dispatch_sdk::contracts::conversations::{Conversation, OpenTurn, Owner, StopWish};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most characters of a title that is made of an input.
const FIRST_LINE_CHARS_MAX: usize = 80;

/// What is known of a conversation without reading its log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) created_at: u64,
    pub(crate) active_at: u64,
    #[serde(default)]
    pub(crate) cwd: String,
    #[serde(default)]
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) engine: String,
    /// Number of the last row on disk.
    pub(crate) seq_last: u64,
    /// Numbers up to here may have been shown; a writer that does not know which goes on above.
    pub(crate) seq_reserved: u64,
    /// Messages in the history.
    pub(crate) messages: u64,
    /// Their bytes; absent in heads that are older than the field, and counted when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_turn: Option<HeadTurn>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) archived: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Owner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) appended: Option<Appended>,
}

/// The last append that had a number, written with what it appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Appended {
    pub(crate) turn_id: String,
    pub(crate) append_idx: u64,
    /// Number of the last row with it.
    pub(crate) seq_last: u64,
}

/// The open turn, and where it begins in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadTurn {
    pub(crate) turn_id: String,
    pub(crate) host_id: String,
    /// The number before its first event.
    pub(crate) cursor: u64,
    /// Unix ms.
    pub(crate) started_at: u64,
    /// What was there when it was begun or adopted; absent in heads that are older than the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<Begun>,
    /// Somebody wants it to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<StopWish>,
}

/// How far a conversation was when its open turn had its input and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) seq_last: u64,
    pub(crate) messages: u64,
}

/// Bytes of messages.
pub(crate) fn bytes_of(messages: &[Box<RawValue>]) -> u64 {
    messages.iter().map(|message| message.get().len() as u64).sum()
}

impl Head {
    /// Bytes of all messages, where they are known.
    pub(crate) fn message_bytes(&self) -> Option<u64> {
        self.message_bytes.or((self.messages == 0).then_some(0))
    }

    /// Counts messages that are appended.
    pub(crate) fn add_messages(&mut self, added: &[Box<RawValue>]) {
        self.message_bytes = self.message_bytes().map(|bytes| bytes + bytes_of(added));
        self.messages += added.len() as u64;
    }

    pub(crate) fn is_open_by(&self, turn_id: &str, host_id: &str) -> bool {
        self.open_turn.as_ref().is_some_and(|turn| turn.turn_id == turn_id && turn.host_id == host_id)
    }

    /// What the last append was answered, if it is this one: it comes again because its answer was lost.
    pub(crate) fn appended(&self, turn_id: &str, append_idx: Option<u64>) -> Option<u64> {
        let last = self.appended.as_ref()?;
        (last.turn_id == turn_id && Some(last.append_idx) == append_idx).then_some(last.seq_last)
    }

    /// Whether nothing of the open turn but its input was written: no row and no message more than it began with.
    pub(crate) fn is_untouched(&self) -> bool {
        let begun = self.open_turn.as_ref().and_then(|turn| turn.begun);
        begun == Some(Begun { seq_last: self.seq_last, messages: self.messages })
    }

    pub(crate) fn open_turn(&self) -> Option<OpenTurn> {
        let turn = self.open_turn.as_ref()?;
        let begun = turn.begun.is_some() && !self.is_untouched();
        let (turn_id, host_id) = (turn.turn_id.clone(), turn.host_id.clone());
        Some(OpenTurn { turn_id, host_id, begun, stop: turn.stop.clone() })
    }

    /// The wish that the open turn ends.
    pub(crate) fn stop(&self) -> Option<&StopWish> {
        self.open_turn.as_ref()?.stop.as_ref()
    }

    pub(crate) fn conversation(&self, id: &str) -> Conversation {
        Conversation {
            id: id.to_owned(),
            title: self.title.clone(),
            created_at: self.created_at,
            active_at: self.active_at,
            seq_last: self.seq_last,
            open_turn: self.open_turn(),
            cwd: self.cwd.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            engine: self.engine.clone(),
            archived: self.archived,
            owner: self.owner.clone(),
        }
    }
}

/// The first line that says something, cut after 80 characters.
pub(crate) fn title_of(input: &str) -> String {
    let line = input.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut chars = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let title: String = chars.by_ref().take(FIRST_LINE_CHARS_MAX).collect();
    if chars.next().is_some() { format!("{title}…") } else { title }
}
