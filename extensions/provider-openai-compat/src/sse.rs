//! Server-sent events out of bytes that may be split anywhere. It must not know what the events say.
//!
//! Only `data` is read: `event`, `id`, `retry` and comments are dropped. A field `error`, which servers of llama.cpp sent
//! until autumn 2025, is an event of its own: its value as the member `error` of an object. Bytes that are not UTF-8 become U+FFFD.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use memchr::memchr2;
use serde_json::Value;

/// Longest line, and most data of one event, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const DATA_FIELD: &[u8] = b"data:";
const ERROR_FIELD: &[u8] = b"error:";

/// A line or an event is longer than [`LINE_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Holds what is not yet an event: never more than two lines' worth of bytes.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// The bytes of the line that has no end yet.
    line: Vec<u8>,
    /// The data lines of the event that has no end yet, each followed by a line feed.
    data: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it belongs to the same line end.
    after_cr: bool,
    /// The first line is over, so there is no byte order mark to expect.
    begun: bool,
}

impl SseParser {
    /// Takes the next bytes and hands on the data of each event that they complete; the first error ends it.
    pub(crate) fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        on_event: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        loop {
            while self.line.is_empty()
                && self.data.is_empty()
                && let Some((data, rest)) = whole_event(bytes)
            {
                self.begun = true;
                on_event(&String::from_utf8_lossy(data))?;
                bytes = rest;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else { break };
            self.extend_line(&bytes[..end])?;
            self.end_line(on_event)?;
            let is_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            match bytes.first() {
                Some(b'\n') if is_cr => bytes = &bytes[1..],
                None => self.after_cr = is_cr,
                Some(_) => {}
            }
        }
        Ok(self.extend_line(bytes)?)
    }

    /// What was left without an end when the bytes ended: the specification drops it, servers rely on it.
    pub(crate) fn finish(mut self) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        let mut keep = |event: &str| {
            events.push(event.to_owned());
            Ok(())
        };
        if !self.line.is_empty() {
            self.end_line::<TooLong>(&mut keep)?;
        }
        self.end_event(&mut keep)?;
        Ok(events)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line<E: From<TooLong>>(
        &mut self,
        on_event: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut line = std::mem::take(&mut self.line);
        let text = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if !self.begun => rest,
            Some(_) | None => &line,
        };
        self.begun = true;
        if text.is_empty() {
            self.end_event(on_event)?;
        } else if let Some(data) = data_of(text) {
            if self.data.len() + data.len() >= LINE_BYTES_MAX {
                return Err(TooLong.into());
            }
            self.data.extend_from_slice(data);
            self.data.push(b'\n');
        } else if let Some(error) = text.strip_prefix(ERROR_FIELD) {
            on_event(&error_event(&String::from_utf8_lossy(error)))?;
        }
        // The buffer goes back, so that a long stream allocates it once.
        line.clear();
        self.line = line;
        Ok(())
    }

    fn end_event<E>(&mut self, on_event: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let Some(data) = self.data.strip_suffix(b"\n") else { return Ok(()) };
        let taken = on_event(&String::from_utf8_lossy(data));
        self.data.clear();
        taken
    }
}

/// The data of an event of one line that lies at the beginning of `bytes`, and what follows it: no byte is copied.
fn whole_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = bytes.strip_prefix(DATA_FIELD)?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let end = memchr2(b'\n', b'\r', value)?;
    let (data, rest) = value.split_at(end);
    let rest = rest.strip_prefix(b"\n\n").or_else(|| rest.strip_prefix(b"\r\n\r\n"))?;
    // One that is nearly too long goes the long way, where the bound is kept.
    (data.len() < LINE_BYTES_MAX / 2).then_some((data, rest))
}

/// The value of a `data` line; one space after the colon is not part of it.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

/// The value of an `error` line as the data of an event; what is no JSON is a text.
fn error_event(value: &str) -> String {
    let error: Value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.trim()));
    serde_json::json!({ "error": error }).to_string()
}

#[cfg(test)]
mod tests;
