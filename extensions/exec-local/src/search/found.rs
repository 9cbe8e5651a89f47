//! What was found so far: a page that is bounded in hits and bytes, and the lines of one file on their way to it.

use dispatch_sdk::contracts::exec::{
    FoundFile, FoundLine, SEARCH_BYTES_MAX, SEARCH_HIT_BYTES, SEARCH_HITS_MAX, SearchParams,
};
use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch};
use std::io;

pub(crate) struct Page {
    pub(crate) files: Vec<FoundFile>,
    pub(crate) n_hits: usize,
    /// There is more than was taken.
    pub(crate) more: bool,
    hits_left: usize,
    bytes_left: usize,
}

impl Page {
    pub(crate) fn new(params: &SearchParams) -> Self {
        let bounded = |asked: usize, max: usize| if asked == 0 { max } else { asked.min(max) };
        Self {
            files: Vec::new(),
            n_hits: 0,
            more: false,
            hits_left: bounded(params.hits_max, SEARCH_HITS_MAX),
            bytes_left: bounded(params.bytes_max, SEARCH_BYTES_MAX),
        }
    }

    /// Takes one file without lines; false when it does not fit any more.
    pub(crate) fn push_file(&mut self, path: String) -> bool {
        let bytes = path.len() + SEARCH_HIT_BYTES;
        if self.hits_left == 0 || bytes > self.bytes_left {
            self.more = true;
            return false;
        }
        self.hits_left -= 1;
        self.bytes_left -= bytes;
        self.n_hits += 1;
        self.files.push(FoundFile { path, lines: Vec::new() });
        true
    }

    /// For the lines of a file.
    pub(crate) fn found_in(&self, path: String, line_chars_max: usize, is_one_enough: bool) -> Found {
        let bytes = path.len() + SEARCH_HIT_BYTES;
        Found {
            file: FoundFile { path, lines: Vec::new() },
            hits_left: self.hits_left,
            bytes_left: self.bytes_left.saturating_sub(bytes),
            line_chars_max,
            is_one_enough,
            before: Vec::new(),
            n_hits: 0,
            more: false,
            is_binary: false,
        }
    }

    /// Takes them; false when no more fits.
    pub(crate) fn push_lines(&mut self, found: Found) -> bool {
        self.more = found.more;
        if found.n_hits > 0 {
            self.hits_left -= found.n_hits;
            self.bytes_left = found.bytes_left;
            self.n_hits += found.n_hits;
            self.files.push(found.file);
        }
        !found.more
    }
}

/// What one file has, line by line, as far as it fits.
pub(crate) struct Found {
    pub(crate) file: FoundFile,
    hits_left: usize,
    bytes_left: usize,
    line_chars_max: usize,
    /// Whether there is a match is all that is asked.
    is_one_enough: bool,
    /// What precedes a match that has not come yet.
    before: Vec<FoundLine>,
    pub(crate) n_hits: usize,
    /// The file has more than was wanted.
    pub(crate) more: bool,
    pub(crate) is_binary: bool,
}

impl Found {
    fn line(&self, number: Option<u64>, bytes: &[u8], matches: bool) -> FoundLine {
        let (text, cut_of_bytes) = cut(bytes, self.line_chars_max);
        FoundLine { number: number.unwrap_or_default(), text, cut_of_bytes, matches }
    }

    /// False when it does not fit.
    fn push(&mut self, line: FoundLine) -> bool {
        let cost = |line: &FoundLine| line.text.len() + SEARCH_HIT_BYTES;
        let bytes = self.before.iter().map(cost).sum::<usize>() + cost(&line);
        if bytes > self.bytes_left {
            self.more = true;
            return false;
        }
        self.bytes_left -= bytes;
        self.file.lines.append(&mut self.before);
        self.file.lines.push(line);
        true
    }
}

impl Sink for Found {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        if self.is_one_enough {
            self.n_hits = 1;
            return Ok(false);
        }
        if self.n_hits == self.hits_left {
            self.more = true;
            return Ok(false);
        }
        let fits = self.push(self.line(found.line_number(), found.bytes(), true));
        self.n_hits += usize::from(fits);
        Ok(fits)
    }

    fn context(&mut self, _: &Searcher, around: &SinkContext<'_>) -> Result<bool, io::Error> {
        let line = self.line(around.line_number(), around.bytes(), false);
        if *around.kind() == SinkContextKind::Before {
            self.before.push(line);
            return Ok(true);
        }
        Ok(self.push(line))
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> Result<(), io::Error> {
        self.is_binary = finish.binary_byte_offset().is_some();
        Ok(())
    }
}

/// A line without its end and, if it is cut, how many bytes it has.
pub(crate) fn cut(line: &[u8], chars_max: usize) -> (String, u64) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // So many bytes hold all the characters that are answered, and the one that says there are more.
    let beginning = &line[..line.len().min((chars_max + 1) * 4)];
    let decoded = String::from_utf8_lossy(beginning);
    match decoded.char_indices().nth(chars_max) {
        None => (decoded.into_owned(), 0),
        Some((end, _)) => (decoded[..end].to_owned(), line.len() as u64),
    }
}
