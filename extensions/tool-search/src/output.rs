//! The bounded text of an answer, and the notes that end it.

use crate::ignored::{BYTES_MAX, PATTERN_BYTES_MAX};
use crate::stop::{SEARCH_MS_MAX, Stopped};
use crate::walk::{Also, Walked};
use std::fmt::Write as _;

/// Paths of one answer at most.
pub(crate) const GLOB_PATHS_MAX: usize = 1_000;
/// Matches of one answer at most.
pub(crate) const GREP_MATCHES_MAX: usize = 500;
/// Bytes of one answer at most.
pub(crate) const OUTPUT_BYTES_MAX: usize = 128 * 1024;
/// Characters of a line that are shown.
pub(crate) const LINE_CHARS_MAX: usize = 500;
/// What all notes together stay below.
const NOTES_BYTES_MAX: usize = 1024;
/// What is left for results.
pub(crate) const RESULTS_BYTES_MAX: usize = OUTPUT_BYTES_MAX - NOTES_BYTES_MAX;

/// What was found so far.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) n_found: usize,
    /// There is more than was taken.
    pub(crate) more: bool,
}

impl Output {
    /// Takes one path; false when it does not fit any more.
    pub(crate) fn push_path(&mut self, path: &str) -> bool {
        if self.n_found == GLOB_PATHS_MAX || self.text.len() + path.len() + 1 > RESULTS_BYTES_MAX {
            self.more = true;
            return false;
        }
        self.text.push_str(path);
        self.text.push('\n');
        self.n_found += 1;
        true
    }

    /// The whole answer: results, or `nothing`, and what the model should know about them.
    pub(crate) fn finish(self, what: &str, nothing: &str, walked: &Walked) -> String {
        let mut text = self.text;
        if self.n_found == 0 && !self.more {
            text.push_str(nothing);
            text.push('\n');
        }
        // Writing to a string cannot fail.
        if self.more {
            let n_found = self.n_found;
            let _ = writeln!(
                text,
                "[there is more than these {n_found} {what}; narrow the search with `path` or the pattern]"
            );
        }
        match walked.stopped {
            Some(Stopped::Cancelled) => text.push_str("[cancelled before everything was searched]\n"),
            Some(Stopped::OutOfTime) => {
                let _ = writeln!(
                    text,
                    "[stopped after {} s before everything was searched; narrow the search with `path`]",
                    SEARCH_MS_MAX / 1_000
                );
            }
            None => {}
        }
        if walked.ignores_cut {
            let _ = writeln!(
                text,
                "[ignore files were not read to their end: a file counts up to {BYTES_MAX} bytes, all of them up to \
                 {PATTERN_BYTES_MAX}; narrow the search with `path`]"
            );
        }
        if walked.n_unread > 0 {
            let _ =
                writeln!(text, "[{} files or directories could not be read to their end]", walked.n_unread);
        }
        text
    }
}

/// The end of the sentence that nothing matches: which files nobody looked at, and how to have them looked at.
pub(crate) fn not_looked_at(also: Also, more: Option<&str>) -> String {
    let hidden = (!also.hidden).then_some("hidden (see `hidden`)");
    let ignored = (!also.ignored).then_some("ignored (see `ignored`)");
    let kinds: Vec<&str> = [hidden, ignored, more].into_iter().flatten().collect();
    match kinds.split_last() {
        None => String::new(),
        Some((last, [])) => format!("; {last} files were not looked at"),
        Some((last, others)) => format!("; {} and {last} files were not looked at", others.join(", ")),
    }
}

/// A line without its end, cut if it is long.
pub(crate) fn cut(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // So many bytes hold all the characters that are shown, and the one that says there are more.
    let beginning = &line[..line.len().min((LINE_CHARS_MAX + 1) * 4)];
    let decoded = String::from_utf8_lossy(beginning);
    match decoded.char_indices().nth(LINE_CHARS_MAX) {
        None => decoded.into_owned(),
        Some((end, _)) => format!("{} [line cut: {} bytes in all]", &decoded[..end], line.len()),
    }
}
