//! Lines by a pattern, in one file after the other.
//!
//! It must not know directories.

use crate::search::found::Page;
use crate::search::stop::Stop;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    LinePattern, PatternKind, SEARCH_CONTEXT_MAX, SEARCH_LINE_CHARS, SEARCH_LINE_CHARS_MAX,
    SEARCH_PATTERN_BYTES_MAX,
};
use dispatch_sdk::fault::INVALID;
use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};

/// Bytes of a compiled pattern, and of the cache it matches with.
const REGEX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that are held of a file; a longer line ends the search in it.
pub(crate) const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is sought in each file.
pub(crate) struct Lines {
    matcher: RegexMatcher,
    searcher: Searcher,
    files_only: bool,
    line_chars_max: usize,
}

/// How the search in one file went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    ToItsEnd,
    Binary,
    /// Its reading failed, or the search is to stop.
    NotToItsEnd,
    /// The page is full.
    Enough,
}

impl Lines {
    /// Errors: `invalid`, what is wrong with the pattern and where.
    pub(crate) fn new(wanted: &LinePattern) -> Result<Self, Fault> {
        let context = wanted.context.min(SEARCH_CONTEXT_MAX);
        let line_chars_max = match wanted.line_chars_max {
            0 => SEARCH_LINE_CHARS,
            asked => asked.min(SEARCH_LINE_CHARS_MAX),
        };
        let files_only = wanted.files_only;
        Ok(Self { matcher: matcher(wanted)?, searcher: searcher(context), files_only, line_chars_max })
    }

    pub(crate) fn look_into(&mut self, file: File, path: String, stop: &Stop, page: &mut Page) -> Looked {
        let mut found = page.found_in(path, self.line_chars_max, self.files_only);
        let watched = Watched { file, stop };
        let is_whole = self.searcher.search_reader(&self.matcher, watched, &mut found).is_ok();
        if found.is_binary {
            return Looked::Binary;
        }
        let fits = if self.files_only {
            found.n_hits == 0 || page.push_file(found.file.path)
        } else {
            page.push_lines(found)
        };
        match (fits, is_whole) {
            (false, _) => Looked::Enough,
            (true, true) => Looked::ToItsEnd,
            (true, false) => Looked::NotToItsEnd,
        }
    }
}

fn matcher(wanted: &LinePattern) -> Result<RegexMatcher, Fault> {
    let given = &wanted.pattern;
    let invalid = |message: String| Fault::new(INVALID, message);
    if given.len() > SEARCH_PATTERN_BYTES_MAX {
        let n_bytes = given.len();
        return Err(invalid(format!(
            "the pattern has {n_bytes} bytes, more than {SEARCH_PATTERN_BYTES_MAX}"
        )));
    }
    let pattern = match wanted.kind {
        PatternKind::Regex => Cow::Borrowed(given.as_str()),
        PatternKind::Text => Cow::Owned(regex::escape(given)),
        PatternKind::Unknown => {
            return Err(invalid("this kind of pattern is not known here; use `regex` or `text`".to_owned()));
        }
    };
    let mut builder = RegexMatcherBuilder::new();
    builder
        .case_insensitive(wanted.ignore_case)
        .multi_line(true)
        .crlf(true)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX);
    builder.build(&pattern).map_err(|e| {
        // What grep-regex parses is the pattern in a group; where it is wrong is told of the pattern as it was given.
        let found = regex::Regex::new(&pattern).err().map_or_else(|| e.to_string(), |e| e.to_string());
        invalid(format!("the pattern `{given}` cannot be used: {found}"))
    })
}

fn searcher(context: usize) -> Searcher {
    SearcherBuilder::new()
        .line_terminator(LineTerminator::crlf())
        .line_number(true)
        .before_context(context)
        .after_context(context)
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HELD_BYTES_MAX))
        .build()
}

/// A file whose reading ends when the search does.
struct Watched<'a> {
    file: File,
    stop: &'a Stop,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.stop.reached() {
            Some(_) => Err(io::Error::other("the search has ended")),
            None => self.file.read(into),
        }
    }
}
