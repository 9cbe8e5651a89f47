//! Live events on their way to the log: pieces that need one number each, and the blocks they become.
//! Pure; it must not know the store.

use crate::faults;
use crate::row::Row;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{
    Delta, EventBody, REASONING_DELTA, TEXT_DELTA, TOOL_OUTPUT, ToolOutput,
};
use dispatch_sdk::contracts::storage::VALUE_BYTES_MAX;
use dispatch_sdk::contracts::tool::OutputStream;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Most bytes of text in one row; then the block is closed and a new one begins. JSON may make six bytes of one.
pub(crate) const ROW_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of the id that deltas of one block share; those with a longer one are not joined.
const JOIN_ID_BYTES_MAX: usize = 1024;

/// Most bytes of any other live event, so that its row fits in a value.
const WHOLE_BYTES_MAX: usize = VALUE_BYTES_MAX - 4096;

/// What a piece costs in memory beyond its data.
const PIECE_BYTES: usize = 64;

/// What deltas must share to become one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JoinKey {
    /// `text_delta` or `reasoning_delta` of one step.
    Delta { kind: &'static str, step_id: String },
    /// Output of one call on one stream.
    Output { tool_call_id: String, stream: OutputStream },
}

impl JoinKey {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Delta { kind, .. } => kind,
            Self::Output { .. } => TOOL_OUTPUT,
        }
    }

    fn data(&self, text: &str) -> Box<RawValue> {
        let text = text.to_owned();
        match self {
            Self::Delta { step_id, .. } => raw(&Delta { step_id: step_id.clone(), text }),
            Self::Output { tool_call_id, stream } => {
                raw(&ToolOutput { tool_call_id: tool_call_id.clone(), stream: *stream, text })
            }
        }
    }
}

fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    to_raw_value(value).expect("a struct of strings always encodes")
}

/// A live event that needs exactly one number.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) kind: String,
    /// As it is shown.
    pub(crate) data: Box<RawValue>,
    joins: Option<(JoinKey, String)>,
}

impl Piece {
    /// Reads a live event; a delta too long for one row becomes several.
    ///
    /// Errors: `too_large` when no row can hold it.
    pub(crate) fn of(event: EventBody, pieces: &mut Vec<Self>) -> Result<(), Fault> {
        let Some((key, mut text)) = read_delta(&event) else {
            let bytes = event.kind.len() + event.data.get().len();
            if bytes > WHOLE_BYTES_MAX {
                return Err(faults::too_large("live event", bytes));
            }
            pieces.push(Self { kind: event.kind, data: event.data, joins: None });
            return Ok(());
        };
        if text.len() <= ROW_TEXT_BYTES_MAX {
            pieces.push(Self { kind: event.kind, data: event.data, joins: Some((key, text)) });
            return Ok(());
        }
        while !text.is_empty() {
            let rest = text.split_off(text.floor_char_boundary(ROW_TEXT_BYTES_MAX));
            let data = key.data(&text);
            pieces.push(Self { kind: event.kind.clone(), data, joins: Some((key.clone(), text)) });
            text = rest;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.get().len() + PIECE_BYTES
    }
}

/// What of a delta is joined; `None` for other events, and for deltas that do not have their shape.
fn read_delta(event: &EventBody) -> Option<(JoinKey, String)> {
    let kind = match event.kind.as_str() {
        TEXT_DELTA => TEXT_DELTA,
        REASONING_DELTA => REASONING_DELTA,
        TOOL_OUTPUT => {
            let ToolOutput { tool_call_id, stream, text } = serde_json::from_str(event.data.get()).ok()?;
            if tool_call_id.len() > JOIN_ID_BYTES_MAX {
                return None;
            }
            return Some((JoinKey::Output { tool_call_id, stream }, text));
        }
        _ => return None,
    };
    let Delta { step_id, text } = serde_json::from_str(event.data.get()).ok()?;
    (step_id.len() <= JOIN_ID_BYTES_MAX).then_some((JoinKey::Delta { kind, step_id }, text))
}

/// A row that is not, or not wholly, on disk yet.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    content: Content,
    pub(crate) seq_first: u64,
    pub(crate) seq_last: u64,
    at: u64,
    /// More may join it.
    pub(crate) open: bool,
    /// How far it is on disk for certain.
    pub(crate) written: Option<u64>,
    /// Numbers under which it may lie on disk; all but the newest are deleted when it is written again.
    pub(crate) keys: Vec<u64>,
}

#[derive(Debug, Clone)]
enum Content {
    Joined { key: JoinKey, text: String },
    Whole { kind: String, data: Box<RawValue> },
}

impl Block {
    pub(crate) fn new(piece: Piece, seq: u64, at: u64) -> Self {
        let open = piece.joins.is_some();
        let content = match piece.joins {
            Some((key, text)) => Content::Joined { key, text },
            None => Content::Whole { kind: piece.kind, data: piece.data },
        };
        Self { content, seq_first: seq, seq_last: seq, at, open, written: None, keys: Vec::new() }
    }

    /// Takes the piece if it belongs here; otherwise gives it back, and the block is closed.
    pub(crate) fn join(&mut self, piece: Piece, seq: u64, at: u64) -> Result<(), Piece> {
        if self.open
            && let Content::Joined { key, text } = &mut self.content
            && let Some((other, more)) = &piece.joins
            && key == other
            && text.len() + more.len() <= ROW_TEXT_BYTES_MAX
        {
            text.push_str(more);
            self.seq_last = seq;
            self.at = at;
            return Ok(());
        }
        self.open = false;
        Err(piece)
    }

    /// Whether there is anything to write.
    pub(crate) fn is_dirty(&self) -> bool {
        self.written != Some(self.seq_last)
    }

    pub(crate) fn row(&self, turn_id: &str) -> Row {
        let (kind, data) = match &self.content {
            Content::Joined { key, text } => (key.kind().to_owned(), key.data(text)),
            Content::Whole { kind, data } => (kind.clone(), data.clone()),
        };
        let turn_id = turn_id.to_owned();
        Row { seq: self.seq_last, seq_first: self.seq_first, turn_id, at: self.at, kind, data }
    }
}
