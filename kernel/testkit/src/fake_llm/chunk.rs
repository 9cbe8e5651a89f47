//! The events of a streamed answer, byte by byte. It must not know when they are sent.

use serde_json::{Value, json};

use super::script::{Quirk, ToolCall};

/// What every chunk of one answer has around its delta.
pub(super) struct Envelope {
    before: String,
    before_delta: String,
    after_delta: String,
}

impl Envelope {
    /// With `usage_null`, chunks carry `"usage":null` as they do when the usage was asked for.
    pub(super) fn new(id: &str, model: &str, created_s: u64, usage_null: bool) -> Self {
        let model = json!(model);
        let before = format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":{created_s},\"model\":{model},\"choices\":["
        );
        let usage = if usage_null { ",\"usage\":null" } else { "" };
        Self {
            before_delta: format!("{before}{{\"index\":0,\"delta\":"),
            after_delta: format!(",\"finish_reason\":null}}]{usage}}}\n\n"),
            before,
        }
    }

    /// One delta with one string field.
    pub(super) fn text(&self, out: &mut Vec<u8>, field: &str, text: &str) {
        out.extend_from_slice(self.before_delta.as_bytes());
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(b"\":");
        serde_json::to_writer(&mut *out, text).expect("a vector takes all bytes");
        out.push(b'}');
        out.extend_from_slice(self.after_delta.as_bytes());
    }

    /// One delta of any shape.
    pub(super) fn delta(&self, out: &mut Vec<u8>, delta: &Value) {
        out.extend_from_slice(self.before_delta.as_bytes());
        out.extend_from_slice(delta.to_string().as_bytes());
        out.extend_from_slice(self.after_delta.as_bytes());
    }

    /// The chunk with the finish reason.
    pub(super) fn finish(&self, out: &mut Vec<u8>, reason: &str, usage: Option<&Value>) {
        let mut choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
        if let Some(usage) = usage {
            choice["usage"] = usage.clone();
        }
        out.extend_from_slice(format!("{}{choice}]}}\n\n", self.before).as_bytes());
    }

    /// The last chunk, with usage and without choices.
    pub(super) fn usage(&self, out: &mut Vec<u8>, usage: &Value) {
        out.extend_from_slice(format!("{}],\"usage\":{usage}}}\n\n", self.before).as_bytes());
    }
}

/// The deltas that tell one call, each the whole `delta` object.
pub(super) fn tool_call_deltas(call: &ToolCall, id: &str, call_idx: usize, arguments: &str) -> Vec<Value> {
    let has = |quirk| call.quirks.contains(&quirk);
    let fragment = |is_first: bool, arguments: Value| {
        let mut function = json!({"arguments": arguments});
        if is_first || has(Quirk::RepeatedName) {
            function["name"] = json!(call.name);
        } else if has(Quirk::BlankName) {
            function["name"] = json!("");
        }
        let mut entry = json!({"function": function});
        if !has(Quirk::MissingIndex) {
            entry["index"] = json!(call_idx);
        }
        if is_first {
            entry["type"] = json!("function");
        }
        if (is_first || has(Quirk::RepeatedId)) && !has(Quirk::MissingId) {
            entry["id"] = json!(id);
        }
        json!({"tool_calls": [entry]})
    };
    if has(Quirk::ObjectArguments) {
        let object = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
        return vec![fragment(true, object)];
    }
    if has(Quirk::Whole) {
        return vec![fragment(true, json!(arguments))];
    }
    let opening = fragment(true, json!(""));
    let parts = split(arguments, call.deltas);
    let parts = parts.into_iter().map(|part| fragment(false, json!(part)));
    std::iter::once(opening).chain(parts).collect()
}

/// Splits a text into `n` parts of about the same length, at most one for each character.
fn split(text: &str, n: usize) -> Vec<&str> {
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let n = n.min(starts.len()).max(1);
    starts.push(text.len());
    let n_chars = starts.len() - 1;
    let at = |part_idx: usize| starts[part_idx * n_chars / n];
    (0..n).map(|idx| &text[at(idx)..at(idx + 1)]).collect()
}
