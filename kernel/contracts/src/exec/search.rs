//! `exec.v1/search`: files by their names and lines by a pattern, below one path.
//!
//! It must not know who shows what was found.

use super::FileKind;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// `exec.v1/search`: one page of what was found, in the order of the paths, and what was left out of it.
///
/// The path that is named may be a link; what lies behind links below it is not searched, nor is anything in `.git`,
/// /proc, or out of reach, which is passed over in silence. A cancelled search, and one whose time is up, answer with
/// what there is. Codes beside the contract's: `invalid` also for a pattern that cannot be used, a file where names are
/// sought, and a binary file that is named; `overloaded` (detail `{retry_after_ms}`) while others search.
pub struct Search;

impl Verb for Search {
    type Params = SearchParams;
    type Reply = SearchReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/search";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(SEARCH_MS_MAX + 10_000);
}

/// Time of one search, unless its caller says otherwise.
pub const SEARCH_MS: u64 = 20_000;
/// Most time of one search.
pub const SEARCH_MS_MAX: u64 = 60_000;
/// Most hits of one page.
pub const SEARCH_HITS_MAX: usize = 10_000;
/// Most bytes of one page: of its paths and texts, and [`SEARCH_HIT_BYTES`] for each of them.
pub const SEARCH_BYTES_MAX: usize = 1024 * 1024;
/// What a path or a line counts beside its own bytes.
pub const SEARCH_HIT_BYTES: usize = 48;
/// Characters of a line that are answered, unless the caller says otherwise.
pub const SEARCH_LINE_CHARS: usize = 500;
/// Most characters of a line that are answered.
pub const SEARCH_LINE_CHARS_MAX: usize = 10_000;
/// Most lines around a match, on each side.
pub const SEARCH_CONTEXT_MAX: usize = 100;
/// Most globs of one search, those that include and those that exclude together.
pub const SEARCH_GLOBS_MAX: usize = 64;
/// Most bytes of a pattern.
pub const SEARCH_PATTERN_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of patterns that are read of one ignore file.
pub const IGNORE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of patterns that are read in one search; one of them may cost hundreds in memory.
pub const IGNORE_BYTES_MAX: u64 = 1024 * 1024;

/// What to search, and how far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchParams {
    /// A directory, or one file when `lines` are sought; absolute, or relative to `cwd`.
    pub path: String,
    /// Absolute.
    pub cwd: String,
    /// What a line must have; absent = files are sought by their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinePattern>,
    /// Globs, of which a file must match one; none = any file. `*` and `?` stay within one name, `**` spans directories,
    /// `{a,b}` and `[a-z]` work. Without a `/` it is a name at any depth, with one a path below `path`, absolute if it
    /// begins with `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs, of which a file must match none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Also what begins with a dot.
    #[serde(default)]
    pub hidden: bool,
    /// Also what `.gitignore`, `.ignore` and `.git/info/exclude` name.
    #[serde(default)]
    pub ignored: bool,
    /// Most hits, at most [`SEARCH_HITS_MAX`]; 0 = that. A hit is a matching line, or a file where no lines are answered.
    #[serde(default)]
    pub hits_max: usize,
    /// Most bytes of the page, at most [`SEARCH_BYTES_MAX`]; 0 = that.
    #[serde(default)]
    pub bytes_max: usize,
    /// Most time, at most [`SEARCH_MS_MAX`]; 0 = [`SEARCH_MS`]. A smaller budget of the call holds over it.
    #[serde(default)]
    pub time_ms: u64,
}

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePattern {
    /// What is sought; it matches within one line.
    pub pattern: String,
    /// How `pattern` is read.
    #[serde(default)]
    pub kind: PatternKind,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// Lines around each match, on each side, at most [`SEARCH_CONTEXT_MAX`].
    #[serde(default)]
    pub context: usize,
    /// Only which files have such a line; they come without lines.
    #[serde(default)]
    pub files_only: bool,
    /// Most characters of a line, at most [`SEARCH_LINE_CHARS_MAX`]; 0 = [`SEARCH_LINE_CHARS`].
    #[serde(default)]
    pub line_chars_max: usize,
}

/// How a pattern is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatternKind {
    /// A regular expression in Rust's syntax.
    #[default]
    Regex,
    /// Itself, character by character.
    Text,
    /// Of a later version: `invalid`.
    #[serde(other)]
    Unknown,
}

/// One page, and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchReply {
    /// What was searched: a file or a directory.
    pub kind: FileKind,
    /// In the order of their paths.
    pub files: Vec<FoundFile>,
    /// Hits in `files`.
    pub n_hits: usize,
    /// There are more than fit.
    #[serde(default)]
    pub more: bool,
    /// Why not everything was searched; absent = it was, or `more`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<SearchStop>,
    /// Files and directories that could not be read to their end, an overlong line among the reasons.
    #[serde(default)]
    pub n_unread: u64,
    /// Files that were left out for being binary: they hold a NUL.
    #[serde(default)]
    pub n_binary: u64,
    /// Directories that hold more names than are looked at, or lie deeper.
    #[serde(default)]
    pub n_too_large: u64,
    /// Ignore files were not read to their end, see [`IGNORE_FILE_BYTES_MAX`] and [`IGNORE_BYTES_MAX`].
    #[serde(default)]
    pub ignores_cut: bool,
}

/// A file with what was found in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Below the real `cwd` relative to it, otherwise absolute; what is no UTF-8 is replaced.
    pub path: String,
    /// In their order; none where files are sought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<FoundLine>,
}

/// A line that matches, or stands around one that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLine {
    /// From 1.
    pub number: u64,
    /// Without its end; what is no UTF-8 is replaced.
    pub text: String,
    /// Bytes of the whole line when `text` is only its beginning; 0 = it is whole.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_of_bytes: u64,
    /// It matches; otherwise it is context.
    #[serde(default)]
    pub matches: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a search ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchStop {
    /// Its call was cancelled.
    Cancelled,
    /// Its time was up.
    OutOfTime,
    /// For a reason of a later version.
    #[serde(other)]
    Unknown,
}
