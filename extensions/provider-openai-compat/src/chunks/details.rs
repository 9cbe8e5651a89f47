//! `reasoning_details`: what some endpoints want back as they sent it. It comes in pieces, which are put together by
//! index and kind. It must not know frames.

use crate::trouble::Trouble;
use serde_json::{Map, Value};

/// Most bytes of it in one answer: all of it is one frame.
const DETAILS_BYTES_MAX: usize = 1 << 20;
/// Fields whose pieces continue each other.
const TEXTS: [&str; 3] = ["text", "summary", "data"];

/// What has come so far, in order.
#[derive(Debug, Default)]
pub(super) struct Details {
    entries: Vec<Map<String, Value>>,
    n_bytes: usize,
}

impl Details {
    /// Takes the entries of one delta.
    pub(super) fn take(&mut self, delta: &Value) -> Result<(), Trouble> {
        let Some(pieces) = delta.as_array() else { return Ok(()) };
        for piece in pieces.iter().filter_map(Value::as_object) {
            self.n_bytes += serde_json::to_string(piece).map_or(0, |text| text.len());
            if self.n_bytes > DETAILS_BYTES_MAX {
                let why = format!("the details of the reasoning have more than {DETAILS_BYTES_MAX} bytes");
                return Err(Trouble::beyond_our_limit(why));
            }
            let continues = |last: &&mut Map<String, Value>| {
                ["type", "index"].iter().all(|key| last.get(*key) == piece.get(*key))
                    // A whole entry has an id of its own.
                    && (piece.get("id").is_none_or(Value::is_null) || last.get("id") == piece.get("id"))
            };
            match self.entries.last_mut().filter(|last| piece.contains_key("type") && continues(last)) {
                Some(last) => join(last, piece),
                None => self.entries.push(piece.clone()),
            }
        }
        Ok(())
    }

    /// What goes back with the message; `None` when nothing came.
    pub(super) fn all(self) -> Option<Value> {
        let entries: Vec<Value> = self.entries.into_iter().map(Value::Object).collect();
        (!entries.is_empty()).then(|| serde_json::json!({ "reasoning_details": entries }))
    }
}

fn join(last: &mut Map<String, Value>, piece: &Map<String, Value>) {
    for (key, value) in piece {
        match (last.get_mut(key), value) {
            (Some(Value::String(said)), Value::String(more)) if TEXTS.contains(&key.as_str()) => {
                said.push_str(more)
            }
            (_, Value::Null) => {}
            _ => {
                last.insert(key.clone(), value.clone());
            }
        }
    }
}
