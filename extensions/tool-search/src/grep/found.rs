//! What one file has, line by line, as far as it fits.

use crate::output::cut;
use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch};
use std::io;

/// How much may be taken from one file.
pub(crate) struct Wanted {
    pub(crate) matches: usize,
    pub(crate) bytes: usize,
    /// Whether something stands before it that it must be separated from.
    pub(crate) groups: bool,
}

pub(crate) struct Found<'a> {
    name: &'a str,
    wanted: Wanted,
    pub(crate) text: String,
    /// What precedes a match that has not come yet.
    before: String,
    pub(crate) n_matches: usize,
    /// The file has more than was wanted.
    pub(crate) more: bool,
    pub(crate) is_binary: bool,
}

const SEPARATOR: &str = "--\n";

impl<'a> Found<'a> {
    pub(crate) fn new(name: &'a str, wanted: Wanted) -> Self {
        let before = if wanted.groups { SEPARATOR.to_owned() } else { String::new() };
        Self { name, wanted, text: String::new(), before, n_matches: 0, more: false, is_binary: false }
    }

    fn line(&self, mark: char, number: Option<u64>, line: &[u8]) -> String {
        format!("{}{mark}{}{mark} {}\n", self.name, number.unwrap_or_default(), cut(line))
    }

    /// False when it does not fit.
    fn push(&mut self, line: &str) -> bool {
        if self.text.len() + self.before.len() + line.len() > self.wanted.bytes {
            self.more = true;
            return false;
        }
        self.text.push_str(&std::mem::take(&mut self.before));
        self.text.push_str(line);
        true
    }
}

impl Sink for Found<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        if self.n_matches == self.wanted.matches {
            self.more = true;
            return Ok(false);
        }
        let line = self.line(':', found.line_number(), found.bytes());
        let fits = self.push(&line);
        self.n_matches += usize::from(fits);
        Ok(fits)
    }

    fn context(&mut self, _: &Searcher, around: &SinkContext<'_>) -> Result<bool, io::Error> {
        let line = self.line('-', around.line_number(), around.bytes());
        if *around.kind() == SinkContextKind::Before {
            self.before.push_str(&line);
            return Ok(true);
        }
        Ok(self.push(&line))
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        self.before.push_str(SEPARATOR);
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> Result<(), io::Error> {
        self.is_binary = finish.binary_byte_offset().is_some();
        Ok(())
    }
}
