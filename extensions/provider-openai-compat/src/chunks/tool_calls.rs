//! Puts tool calls together from their fragments. It must not know which tools exist.

use crate::ids::nine;
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::{FaultClass, StreamFrame};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Most calls of one answer.
pub(super) const CALLS_MAX: usize = 128;
/// Most bytes of arguments in one answer: one call's must fit a frame.
pub(super) const ARGS_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct ToolCalls {
    calls: Vec<PartialCall>,
    args_bytes: usize,
    id_seed: String,
    ids_taken: HashSet<String>,
}

/// A call as far as it has come.
#[derive(Debug)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    args_text: String,
    /// What came beside the function, wanted back with the call.
    extra_content: Value,
}

/// One entry of `tool_calls`; what is missing or blank is empty.
struct Fragment<'v> {
    index: Option<u64>,
    id: &'v str,
    name: &'v str,
    args_text: String,
    extra_content: &'v Value,
}

impl<'v> Fragment<'v> {
    fn read(entry: &'v Value) -> Self {
        let function = &entry["function"];
        let args_text = match &function["arguments"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self {
            index: entry["index"].as_u64(),
            id: entry["id"].as_str().unwrap_or(""),
            // Some servers write the word for a name that is not there.
            name: function["name"].as_str().filter(|name| *name != "null").unwrap_or(""),
            args_text,
            extra_content: &entry["extra_content"],
        }
    }

    fn says_nothing(&self) -> bool {
        self.id.is_empty()
            && self.name.is_empty()
            && self.args_text.is_empty()
            && self.extra_content.is_null()
    }
}

/// Where a fragment belongs.
enum Place {
    New,
    At(usize),
    /// It came twice.
    Nowhere,
}

impl ToolCalls {
    pub(super) fn new(id_seed: String, ids_taken: HashSet<String>) -> Self {
        Self { calls: Vec::new(), args_bytes: 0, id_seed, ids_taken }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes the entries of one delta.
    pub(super) fn take(&mut self, entries: &[Value]) -> Result<(), Trouble> {
        let n_before = self.calls.len();
        for entry in entries {
            let fragment = Fragment::read(entry);
            if fragment.says_nothing() {
                continue;
            }
            self.args_bytes += fragment.args_text.len();
            if !fragment.extra_content.is_null() {
                self.args_bytes += fragment.extra_content.to_string().len();
            }
            if self.args_bytes > ARGS_BYTES_MAX {
                let why =
                    format!("the answer's tool calls have more than {ARGS_BYTES_MAX} bytes of arguments");
                return Err(Trouble::beyond_our_limit(why));
            }
            match self.place(&fragment, n_before) {
                Place::New => self.open(fragment)?,
                Place::At(idx) => self.calls[idx].extend(fragment),
                Place::Nowhere => {}
            }
        }
        Ok(())
    }

    /// `n_before` calls were there before this delta: two entries of one delta without index or id are two calls.
    fn place(&self, fragment: &Fragment<'_>, n_before: usize) -> Place {
        let same_id = |call: &PartialCall| !fragment.id.is_empty() && call.id == fragment.id;
        let last_of = |index| self.calls.iter().rposition(|call| call.index == Some(index));
        let found = match fragment.index {
            Some(index) => last_of(index),
            None if !fragment.id.is_empty() => match self.calls.iter().rposition(same_id) {
                None if fragment.name.is_empty() => self.calls.len().checked_sub(1),
                found => found,
            },
            None if fragment.name.is_empty() => self.calls.len().checked_sub(1),
            None if self.calls.len() > n_before => None,
            None => self.calls.len().checked_sub(1),
        };
        let Some(idx) = found else { return Place::New };
        let call = &self.calls[idx];
        if fragment.name.is_empty() || call.name.is_empty() {
            return Place::At(idx);
        }
        // Whatever name it carries: what has no id and comes at the index of arguments that are not whole continues them.
        let is_open = !call.args_text.is_empty() && !is_object(&call.args_text);
        if is_open && fragment.id.is_empty() && fragment.index.is_some() {
            return Place::At(idx);
        }
        let other_id = !fragment.id.is_empty() && !call.id.is_empty() && !same_id(call);
        if other_id || call.name != fragment.name {
            return Place::New;
        }
        // The same name again: told in every delta, sent twice, or another call. Nothing continues a whole object.
        match fragment.args_text.trim_start().starts_with('{') && is_object(&call.args_text) {
            false => Place::At(idx),
            true if same_id(call) || call.args_text == fragment.args_text => Place::Nowhere,
            true => Place::New,
        }
    }

    fn open(&mut self, fragment: Fragment<'_>) -> Result<(), Trouble> {
        if self.calls.len() == CALLS_MAX {
            let why = format!("the answer asks for more than {CALLS_MAX} tool calls");
            return Err(Trouble::beyond_our_limit(why));
        }
        self.calls.push(PartialCall {
            index: fragment.index,
            id: fragment.id.to_owned(),
            name: fragment.name.to_owned(),
            args_text: fragment.args_text,
            extra_content: fragment.extra_content.clone(),
        });
        Ok(())
    }

    /// Every call, in the order of their indices; `garbled` if one has no name.
    pub(super) fn all(mut self) -> Result<Vec<StreamFrame>, Trouble> {
        self.order();
        let mut frames = Vec::new();
        for (call_idx, call) in self.calls.into_iter().enumerate() {
            if call.name.is_empty() {
                let why = format!("tool call {call_idx} of the answer has no name");
                return Err(Trouble::new(FaultClass::Garbled, why));
            }
            // An id that the history holds already would make the next request ambiguous.
            let mut tool_call_id = call.id;
            if tool_call_id.is_empty() || self.ids_taken.contains(&tool_call_id) {
                tool_call_id = nine(&format!("{}/{call_idx}", self.id_seed));
            }
            self.ids_taken.insert(tool_call_id.clone());
            let opaque = match call.extra_content {
                Value::Null => Value::Null,
                extra_content => json!({ "extra_content": extra_content }),
            };
            let (name, args_text) = (call.name, call.args_text);
            frames.push(StreamFrame::ToolCall { tool_call_id, name, args_text, opaque });
        }
        Ok(frames)
    }

    /// The calls whose arguments are an object to its end.
    pub(super) fn whole_ones(mut self) -> Result<Vec<StreamFrame>, Trouble> {
        self.calls.retain(|call| !call.name.is_empty() && is_object(&call.args_text));
        self.all()
    }

    /// By index; a call without one stays behind the call it came after.
    fn order(&mut self) {
        let mut index_before = 0;
        for call in &mut self.calls {
            index_before = *call.index.get_or_insert(index_before);
        }
        self.calls.sort_by_key(|call| call.index);
    }
}

impl PartialCall {
    fn extend(&mut self, fragment: Fragment<'_>) {
        self.args_text.push_str(&fragment.args_text);
        if self.id.is_empty() {
            fragment.id.clone_into(&mut self.id);
        }
        if self.name.is_empty() {
            fragment.name.clone_into(&mut self.name);
        }
        if !fragment.extra_content.is_null() {
            self.extra_content = fragment.extra_content.clone();
        }
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}
