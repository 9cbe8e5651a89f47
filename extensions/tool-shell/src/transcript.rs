//! What the model reads of a command's output: the beginning and the end, and how much is missing between.
//!
//! It must not know calls. However much comes, it holds `RESULT_CHARS_MAX` characters and one piece.

use std::collections::VecDeque;

/// Most characters of output that the model reads; half of them from the beginning, half from the end.
pub(crate) const RESULT_CHARS_MAX: usize = 50_000;
const HEAD_CHARS_MAX: usize = RESULT_CHARS_MAX / 2;
const TAIL_CHARS_MAX: usize = RESULT_CHARS_MAX - HEAD_CHARS_MAX;

#[derive(Default)]
pub(crate) struct Transcript {
    head: String,
    head_chars: usize,
    tail: VecDeque<char>,
    left_out_bytes: u64,
}

impl Transcript {
    pub(crate) fn push(&mut self, text: &str) {
        let room = HEAD_CHARS_MAX - self.head_chars;
        let split = text.char_indices().nth(room).map_or(text.len(), |(at, _)| at);
        let (head, tail) = text.split_at(split);
        self.head.push_str(head);
        self.head_chars += if tail.is_empty() { head.chars().count() } else { room };
        for char in tail.chars() {
            if self.tail.len() == TAIL_CHARS_MAX
                && let Some(oldest) = self.tail.pop_front()
            {
                self.left_out_bytes += oldest.len_utf8() as u64;
            }
            self.tail.push_back(char);
        }
    }

    /// Whether something is left out.
    pub(crate) fn is_cut(&self) -> bool {
        self.left_out_bytes > 0
    }

    /// The text; `dropped_bytes` more were lost before they came here, and `file` has the whole.
    pub(crate) fn text(self, dropped_bytes: u64, file: Option<&str>) -> String {
        let mut text = self.head;
        if self.left_out_bytes > 0 {
            let bytes = self.left_out_bytes + dropped_bytes;
            let hint = match file {
                Some(file) => format!("the whole output is in `{file}`: read or search that file"),
                None => "narrow the output or write it to a file".to_owned(),
            };
            text.push_str(&format!("\n[… {bytes} bytes left out; {hint} …]\n"));
        }
        text.extend(self.tail);
        text
    }
}
