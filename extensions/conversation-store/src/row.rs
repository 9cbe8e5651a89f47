//! One row of a log: an event, or a block of deltas `[seq_first, seq]` of one kind.

use crate::keys;
use dispatch_sdk::contracts::event::{Event, EventBody};
use dispatch_sdk::contracts::storage::Entry;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// A row as it lies in the store, under the key of its last number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(skip)]
    pub(crate) seq: u64,
    pub(crate) seq_first: u64,
    pub(crate) turn_id: String,
    /// Unix ms.
    pub(crate) at: u64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: Box<RawValue>,
}

impl Row {
    pub(crate) fn of(body: &EventBody, turn_id: &str, seq: u64, at: u64) -> Self {
        Self {
            seq,
            seq_first: seq,
            turn_id: turn_id.to_owned(),
            at,
            kind: body.kind.clone(),
            data: body.data.clone(),
        }
    }

    /// Reads a row back; `None` when it cannot be read. The value is that of the entry, or of the blob that it names.
    pub(crate) fn read(entry: &Entry, value: &RawValue) -> Option<Self> {
        let seq = keys::number_of(&entry.key)?;
        let row: Self = serde_json::from_str(value.get()).ok()?;
        (row.seq_first <= seq).then_some(Self { seq, ..row })
    }

    /// The value to put.
    pub(crate) fn encode(&self) -> Box<RawValue> {
        to_raw_value(self).expect("a struct of strings, numbers and JSON always encodes")
    }

    /// The event as a reader sees it who has seen everything up to `after`.
    pub(crate) fn into_event(self, conversation_id: &str, after: u64) -> Event {
        Event {
            seq: self.seq,
            seq_first: (self.seq_first < self.seq).then_some(self.seq_first),
            conversation_id: conversation_id.to_owned(),
            turn_id: Some(self.turn_id),
            at: self.at,
            kind: self.kind,
            data: self.data,
            rebased: self.seq_first <= after && after < self.seq,
        }
    }
}
