//! One thing that is wrong with a file or a build, printed as a compiler would: place, line, caret, help.
//!
//! It must not know what a manifest or a build list is.

use dispatch_contracts::plain::acts;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::path::PathBuf;

/// The most characters of one value that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// The line a problem points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, cut to 120 characters around the caret, control characters replaced.
    pub snippet: String,
    /// The characters of `snippet` that are underlined; never empty.
    pub caret: Range<usize>,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is about, if it is about one.
    pub file: Option<PathBuf>,
    /// The place in that file, if there is one.
    pub excerpt: Option<Excerpt>,
    /// What was found, in one line: lower case, values in backticks.
    pub message: String,
    /// What to do, in one line.
    pub help: Option<String>,
}

impl Problem {
    /// Makes a problem without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { file: None, excerpt: None, message: one_line(&message.into()), help: None }
    }

    /// Makes a problem about a whole file.
    pub fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..Self::new(message) }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(one_line(&help.into())), ..self }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let digits = self.excerpt.as_ref().map_or(1, |excerpt| excerpt.line.to_string().len());
        let margin = " ".repeat(digits);
        if let Some(file) = &self.file {
            write!(f, "\n{margin}--> {}", one_line(&file.to_string_lossy()))?;
        }
        if let Some(Excerpt { line, column, snippet, caret }) = &self.excerpt {
            let indent = " ".repeat(caret.start);
            let underline = "^".repeat(caret.len());
            let shown_line = format!("{line} | {snippet}");
            let shown_line = shown_line.trim_end();
            write!(f, ":{line}:{column}\n{margin} |\n{shown_line}\n{margin} | {indent}{underline}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

/// All that is wrong, reported at once; never empty when it stands as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Answers `value` if nothing is wrong, else all that is.
    pub(crate) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value()) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.0.iter().enumerate() {
            let gap = if idx == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl Error for Problem {}
impl Error for Problems {}

fn one_line(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Cuts text from a file to what a message may repeat of it.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// Replaces what would move a terminal's cursor, so that carets stay under their text.
pub(crate) fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if acts(c) => '\u{fffd}',
        c => c,
    }
}
