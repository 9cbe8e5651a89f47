//! One row of a log: an event, or a block of deltas `[seq_first, seq]` of one kind.

use crate::faults;
use crate::keys;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{Event, EventBody};
use dispatch_sdk::contracts::storage::{Entry, VALUE_BYTES_MAX};
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

    /// Reads a row back; `None` when it cannot be read.
    pub(crate) fn read(entry: &Entry) -> Option<Self> {
        let seq = keys::number_of(&entry.key)?;
        let row: Self = serde_json::from_str(entry.value.get()).ok()?;
        (row.seq_first <= seq).then_some(Self { seq, ..row })
    }

    /// The value to put.
    ///
    /// Errors: `too_large` when the store cannot hold it.
    pub(crate) fn encode(&self) -> Result<Box<RawValue>, Fault> {
        let value = to_raw_value(self).expect("a struct of strings, numbers and JSON always encodes");
        checked(value, &self.kind)
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

/// A value that the store can hold, or `too_large` naming what it is.
pub(crate) fn checked(value: Box<RawValue>, what: &str) -> Result<Box<RawValue>, Fault> {
    let bytes = value.get().len();
    if bytes > VALUE_BYTES_MAX { Err(faults::too_large(what, bytes)) } else { Ok(value) }
}
