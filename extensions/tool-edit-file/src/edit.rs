//! One replacement in a text, or the reason why there is none.
//!
//! It must not know files or calls.

use crate::almost;
use std::ops::Range;

/// Line numbers that are told of a text that is there more than once.
const LINES_TOLD_MAX: usize = 10;

/// A text after its replacements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) n_replacements: usize,
}

/// Replaces `old` by `new` in `text`; an error is for the model.
///
/// What is there exactly is replaced; otherwise a line end of `old` stands for either kind. New lines end as those that
/// they replace. Whoever writes CR in `old` where both kinds are is taken at the word.
pub(crate) fn edit(
    text: &str,
    old: &str,
    new: &str,
    replace_all: bool,
    bytes_max: usize,
) -> Result<Edited, String> {
    let exactly = exact(text, old);
    let is_literal = !exactly.is_empty() && (old.contains('\r') || !text.contains("\r\n"));
    let is_literal = is_literal && !is_crlf(text);
    let (plain_old, plain_new) = (plain(old), plain(new));
    if !is_literal && plain_old == plain_new {
        return Err(
            "`old_string` and `new_string` differ in line endings only, and those are kept".to_owned()
        );
    }
    let found = if exactly.is_empty() || is_crlf(text) { either_end(text, &plain_old) } else { exactly };
    let n_found = found.len();
    if n_found == 0 {
        return Err(almost::why(text, &plain_old));
    }
    if n_found > 1 && !replace_all {
        let told = lines_of(text, &found);
        let more = if n_found > told.len() { ", …" } else { "" };
        let lines: Vec<String> = told.iter().map(usize::to_string).collect();
        return Err(format!(
            "`old_string` is in it {n_found} times (lines {}{more}); add lines around it, or set `replace_all`",
            lines.join(", ")
        ));
    }
    let new = New::of(text, if is_literal { new } else { &plain_new }, is_literal);
    // Counted before it is made: one letter replaced by a book could fill the memory.
    let removed: usize = found.iter().map(Range::len).sum();
    let mut bytes = (text.len() - removed).saturating_add(n_found.saturating_mul(new.with.len()));
    if bytes <= bytes_max {
        bytes += found.iter().map(|range| new.n_cr(range)).sum::<usize>();
    }
    if bytes > bytes_max {
        return Err(format!("it would have {bytes} bytes then; at most {bytes_max} can be written"));
    }
    let mut edited = String::with_capacity(bytes);
    let mut at = 0;
    for range in &found {
        edited.push_str(&text[at..range.start]);
        new.push(range, &mut edited);
        at = range.end;
    }
    edited.push_str(&text[at..]);
    Ok(Edited { text: edited, n_replacements: n_found })
}

fn is_crlf(text: &str) -> bool {
    let n_crlf = text.matches("\r\n").count();
    n_crlf > 0 && n_crlf == text.matches('\n').count()
}

fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Where `old` is, byte for byte; never from the middle of a line end on.
fn exact(text: &str, old: &str) -> Vec<Range<usize>> {
    let is_whole = |at: usize| !(old.starts_with('\n') && text[..at].ends_with('\r'));
    let found = text.match_indices(old).filter(|(at, _)| is_whole(*at));
    found.map(|(at, _)| at..at + old.len()).collect()
}

/// Where `old`, whose lines end in LF, is if CRLF is the same.
fn either_end(text: &str, old: &str) -> Vec<Range<usize>> {
    let plain_text = plain(text);
    // Where in the plain text a CR was left out, in order.
    let left_out: Vec<usize> = text.match_indices("\r\n").enumerate().map(|(n, (at, _))| at - n).collect();
    let really = |at: usize| at + left_out.partition_point(|cr| *cr < at);
    plain_text.match_indices(old).map(|(at, _)| really(at)..really(at + old.len())).collect()
}

/// What stands in the place of what was found.
struct New<'a> {
    with: &'a str,
    n_lines: usize,
    /// The line ends of the text, in order, and whether they are CRLF; none = `with` stands there as it is.
    ends: Vec<(usize, bool)>,
}

impl<'a> New<'a> {
    fn of(text: &str, with: &'a str, is_literal: bool) -> Self {
        let end = |(at, _): (usize, &str)| (at, text[..at].ends_with('\r'));
        let ends = if is_literal { Vec::new() } else { text.match_indices('\n').map(end).collect() };
        Self { with, n_lines: with.matches('\n').count(), ends }
    }

    fn n_cr(&self, range: &Range<usize>) -> usize {
        self.are_crlf(range).take(self.n_lines).filter(|is_crlf| *is_crlf).count()
    }

    fn push(&self, range: &Range<usize>, edited: &mut String) {
        let mut are_crlf = self.are_crlf(range);
        for part in self.with.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(line) if are_crlf.next().unwrap_or(false) => {
                    edited.push_str(line);
                    edited.push_str("\r\n");
                }
                Some(_) | None => edited.push_str(part),
            }
        }
    }

    /// Whether each new line ends in CRLF: as the lines that it replaces; further ones as the last of these, or as the line
    /// that they stand in.
    fn are_crlf(&self, range: &Range<usize>) -> impl Iterator<Item = bool> {
        let first = self.ends.partition_point(|(at, _)| *at < range.start);
        let next = first + self.ends[first..].partition_point(|(at, _)| *at < range.end);
        let near = if next > first { next - 1 } else { next.min(self.ends.len().saturating_sub(1)) };
        let further = self.ends.get(near).is_some_and(|(_, is_crlf)| *is_crlf);
        self.ends[first..next].iter().map(|(_, is_crlf)| *is_crlf).chain(std::iter::repeat(further))
    }
}

/// The lines, from 1, on which the first matches begin.
fn lines_of(text: &str, found: &[Range<usize>]) -> Vec<usize> {
    let (mut line, mut seen) = (1, 0);
    let line_at = |range: &Range<usize>| {
        line += text[seen..range.start].matches('\n').count();
        seen = range.start;
        line
    };
    found.iter().take(LINES_TOLD_MAX).map(line_at).collect()
}
