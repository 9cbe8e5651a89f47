//! The text of a file and places in it, kept as long as somebody may have to point at a line.
//!
//! It must not know TOML.

use std::fs::File;
use std::io::Read;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::problem::{Excerpt, Problem, Problems, visible};

/// The most characters of a line that a problem shows.
const SNIPPET_CHARS_MAX: usize = 120;
/// How much of a cut line stands before its caret.
const SNIPPET_CHARS_BEFORE: usize = 40;

/// A file's path and its text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// Reads at most `bytes_max` of a regular file; a larger one is refused unread.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Arc<Self>, Problems> {
        let bytes = read_bounded(path, bytes_max)?;
        Self::from_bytes(path, &bytes, bytes_max)
    }

    /// Takes text that is already in memory; refuses what is too long, not UTF-8, or holds NUL.
    pub(crate) fn from_bytes(path: &Path, bytes: &[u8], bytes_max: usize) -> Result<Arc<Self>, Problems> {
        if bytes.len() > bytes_max {
            return Err(too_long(path, bytes.len() as u64, bytes_max).into());
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                let message = format!("not UTF-8: the byte at offset {} cannot be read", error.valid_up_to());
                return Err(Problem::of_file(path, message).help("save the file as UTF-8").into());
            }
        };
        let source = Arc::new(Self { path: path.to_owned(), text });
        match source.text.find('\0') {
            None => Ok(source),
            Some(at) => {
                let place = Place { source, span: at..at + 1 };
                Err(place.problem("a NUL byte stands in the text").help("take it out").into())
            }
        }
    }

    /// Cuts out the line in which `span` starts.
    fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = self.text.floor_char_boundary(span.end.min(line_end)).max(start);

        let line_text = self.text[line_start..line_end].trim_end_matches('\r');
        let column_idx = self.text[line_start..start].chars().count();
        let marked_chars = self.text[start..end].chars().count().max(1);

        let (snippet, shift) = clip(line_text, column_idx);
        let caret_start = column_idx + shift.added - shift.cut;
        let room = snippet.chars().count().saturating_sub(caret_start).max(1);
        Excerpt {
            line: self.text[..line_start].matches('\n').count() + 1,
            column: column_idx + 1,
            caret: caret_start..caret_start + marked_chars.min(room),
            snippet,
        }
    }
}

/// How a cut moved the characters of a line.
struct Shift {
    cut: usize,
    added: usize,
}

/// Keeps the part of a long line around `column_idx`.
fn clip(line: &str, column_idx: usize) -> (String, Shift) {
    if line.chars().nth(SNIPPET_CHARS_MAX).is_none() {
        return (line.chars().map(visible).collect(), Shift { cut: 0, added: 0 });
    }
    let cut = column_idx.saturating_sub(SNIPPET_CHARS_BEFORE);
    let added = usize::from(cut > 0);
    let mut snippet: String = if cut > 0 { "…".to_owned() } else { String::new() };
    snippet.extend(line.chars().skip(cut).take(SNIPPET_CHARS_MAX).map(visible));
    if line.chars().nth(cut + SNIPPET_CHARS_MAX).is_some() {
        snippet.push('…');
    }
    (snippet, Shift { cut, added })
}

fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Problems> {
    let trouble = |error: std::io::Error| -> Problems {
        Problem::of_file(path, format!("cannot read this file: {error}")).into()
    };
    // Looked at before opening: opening a FIFO would wait for a writer.
    let about = std::fs::metadata(path).map_err(trouble)?;
    if !about.is_file() {
        return Err(Problem::of_file(path, "cannot read this file: it is not a regular file").into());
    }
    if about.len() > bytes_max as u64 {
        return Err(too_long(path, about.len(), bytes_max).into());
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that grew meanwhile is noticed.
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .map_err(trouble)?;
    Ok(bytes)
}

fn too_long(path: &Path, bytes: u64, bytes_max: usize) -> Problem {
    Problem::of_file(path, format!("the file has {bytes} bytes, at most {bytes_max} are read"))
}

/// A span of a file's text, by which a later step can point at the line.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Range<usize>,
}

impl Place {
    /// The file, as it was named when it was read.
    pub fn file(&self) -> &Path {
        &self.source.path
    }

    /// The line it starts on, from 1.
    pub fn line(&self) -> usize {
        let start = self.source.text.floor_char_boundary(self.span.start);
        self.source.text[..start].matches('\n').count() + 1
    }

    /// Makes a problem that points here.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        let excerpt = Some(self.source.excerpt(&self.span));
        Problem { excerpt, ..Problem::of_file(&self.source.path, message) }
    }
}

/// A value and the place where it was written.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The values alone, once nothing can be said of their places any more.
pub(crate) fn plain<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|item| item.value).collect()
}
