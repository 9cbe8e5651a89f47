//! Bytes of a file, piece by piece, to the numbered lines that were asked for.
//!
//! It must not know files or calls. However long lines are, it holds one answer and the start of one line.

use std::fmt::Write as _;

/// Most characters of a line that are shown.
pub(crate) const LINE_CHARS_MAX: usize = 2_000;
/// Most bytes of an answer.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// So many bytes hold `LINE_CHARS_MAX` characters, whatever these are.
const LINE_BYTES_KEPT: usize = LINE_CHARS_MAX * 4;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The lines from `first` on, at most `limit` of them.
pub(crate) struct Lines {
    first: u64,
    limit: u64,
    /// Lines that have ended.
    n_lines: u64,
    /// The start of the line that has not ended.
    line: Vec<u8>,
    line_bytes: u64,
    /// `12: text` lines.
    pub(crate) text: String,
    n_shown: u64,
    /// There is more after what was shown.
    pub(crate) more: bool,
}

impl Lines {
    pub(crate) fn new(first: u64, limit: u64) -> Self {
        Self {
            first,
            limit,
            n_lines: 0,
            line: Vec::new(),
            line_bytes: 0,
            text: String::new(),
            n_shown: 0,
            more: false,
        }
    }

    /// Takes the next bytes; false when no more are needed.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.n_shown == self.limit {
                self.more = true;
            }
            if self.more {
                return false;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.extend(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { return true };
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        true
    }

    /// Nothing follows.
    pub(crate) fn finish(&mut self) {
        if self.line_bytes > 0 {
            self.end_line();
        }
    }

    /// Lines seen so far; all of the file once it was read to its end.
    pub(crate) fn n_lines(&self) -> u64 {
        self.n_lines
    }

    /// Number of the last line that was shown.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.n_shown - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n_shown == 0
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.line_bytes += bytes.len() as u64;
        if self.n_lines + 1 >= self.first {
            let room = LINE_BYTES_KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn end_line(&mut self) {
        self.n_lines += 1;
        let bytes = std::mem::take(&mut self.line_bytes);
        let line = std::mem::take(&mut self.line);
        if self.n_lines < self.first {
            return;
        }
        let shown = shown(&line, bytes, self.n_lines);
        if self.text.len() + shown.len() > OUTPUT_BYTES_MAX {
            self.more = true;
            return;
        }
        self.text.push_str(&shown);
        self.n_shown += 1;
    }
}

fn shown(line: &[u8], bytes: u64, number: u64) -> String {
    let line = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let decoded = String::from_utf8_lossy(line);
    match decoded.char_indices().nth(LINE_CHARS_MAX) {
        None => format!("{number}: {decoded}\n"),
        Some((end, _)) => {
            let mut shown = format!("{number}: {}", &decoded[..end]);
            // Writing to a string cannot fail.
            let _ = writeln!(shown, " [line cut: {bytes} bytes in all]");
            shown
        }
    }
}
