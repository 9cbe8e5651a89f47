//! Frames of an op as server-sent events. It must not know where they come from or go to.
//!
//! Source: WHATWG HTML, "Server-sent events"; `data` is the frame's bytes as they are, one line for each line of them.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is read of a frame; the rest of it is passed over.
#[derive(Default, Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    seq: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Appends one frame: `id` if it has a numeric `seq`, `event` if it has a `type`.
pub(crate) fn put_frame(out: &mut Vec<u8>, frame: &[u8]) {
    // A list would be read as the fields in their order.
    let is_object = frame.trim_ascii_start().starts_with(b"{");
    let peek: Peek<'_> =
        if is_object { serde_json::from_slice(frame).unwrap_or_default() } else { Peek::default() };
    if let Some(seq) = peek.seq.map(RawValue::get)
        && seq.bytes().all(|b| b.is_ascii_digit())
    {
        put_line(out, b"id: ", seq.as_bytes());
    }
    let kind = peek.kind.and_then(|kind| serde_json::from_str::<Cow<'_, str>>(kind.get()).ok());
    put_event(out, kind.as_deref().unwrap_or(""), frame);
}

/// Appends an event without an id; without a name it is a `message`.
pub(crate) fn put_event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    if !name.is_empty() && !name.contains(['\n', '\r']) {
        put_line(out, b"event: ", name.as_bytes());
    }
    if data.iter().any(|b| *b == b'\n' || *b == b'\r') {
        // JSON that was laid out over lines; a line break is a space to it, and they come back as line breaks.
        for line in data.split(|b| *b == b'\n' || *b == b'\r') {
            put_line(out, b"data: ", line);
        }
    } else {
        put_line(out, b"data: ", data);
    }
    out.push(b'\n');
}

fn put_line(out: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    out.extend_from_slice(field);
    out.extend_from_slice(value);
    out.push(b'\n');
}
