//! Bytes to text across chunks: a character is never cut, bytes that are no UTF-8 become U+FFFD.

/// Decodes one stream; at most three bytes wait for the rest of their character.
#[derive(Default)]
pub(crate) struct Decoder {
    waiting: Vec<u8>,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut joined = std::mem::take(&mut self.waiting);
        joined.extend_from_slice(bytes);
        let mut text = String::with_capacity(joined.len());
        let mut chunks = joined.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunks.peek().is_none() && is_unfinished(chunk.invalid()) {
                self.waiting = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// Nothing follows: what still waits is no character.
    pub(crate) fn finish(&mut self) -> String {
        if self.forget() == 0 { String::new() } else { char::REPLACEMENT_CHARACTER.to_string() }
    }

    /// Drops what waits and says how many bytes that were.
    pub(crate) fn forget(&mut self) -> usize {
        std::mem::take(&mut self.waiting).len()
    }
}

/// Whether these bytes are the beginning of a character whose end is not there yet.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
