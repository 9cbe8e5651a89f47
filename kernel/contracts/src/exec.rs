//! `exec.v1`: programs and files on one computer. Single-valued; tools never touch either themselves.
//!
//! A started program has its own process group, a scrubbed environment and no standard input; when the call ends, for
//! whatever reason, the group is killed. Codes: `not_found`, `denied` (the file system's, or out of reach), `invalid`,
//! `too_large`, `no_space` (nothing was changed), `io`.
//!
//! Out of reach of every file verb, whatever leads there: what lies outside the roots of the configuration; the host's own
//! config, data, state, cache and run directories, but for reading `<cache>/<instance>/output`; and places of secrets, such
//! as `~/.ssh`, that the build does not open (detail `{"sensitive": true}`). Programs are not confined by it.

mod search;

pub use search::{
    FoundFile, FoundLine, IGNORE_BYTES_MAX, IGNORE_FILE_BYTES_MAX, LinePattern, PatternKind,
    SEARCH_BYTES_MAX, SEARCH_CONTEXT_MAX, SEARCH_GLOBS_MAX, SEARCH_HIT_BYTES, SEARCH_HITS_MAX,
    SEARCH_LINE_CHARS, SEARCH_LINE_CHARS_MAX, SEARCH_MS, SEARCH_MS_MAX, SEARCH_PATTERN_BYTES_MAX, Search,
    SearchParams, SearchReply, SearchStop,
};

use crate::fault::{DENIED, INVALID, IO, NOT_FOUND, TOO_LARGE};
use crate::storage::NO_SPACE;
use crate::tool::OutputStream;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Codes that say something of the file, the path or the pattern that was named, or of the disk: a tool tells them to its
/// model. Any other fault is the host's trouble.
pub const OF_THE_FILE: [&str; 6] = [DENIED, INVALID, IO, NOT_FOUND, NO_SPACE, TOO_LARGE];

/// `exec.v1/spawn`. Cancelling kills the group and still answers, with `cancelled: true`.
pub struct Spawn;

impl Verb for Spawn {
    type Params = SpawnParams;
    type Reply = SpawnReply;
    type Frame = OutputFrame;
    const NAME: &'static str = "exec.v1/spawn";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnParams {
    /// Program and arguments; a shell line is `["sh", "-c", line]`.
    pub argv: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// Added to the scrubbed environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Kill after this long; 0 = never.
    #[serde(default)]
    pub timeout_ms: u64,
    /// Most bytes of both streams that are emitted; the rest is read, counted and dropped. 0 = 1 MiB.
    #[serde(default)]
    pub output_bytes_max: u64,
    /// Keep the whole output in a file already when it has more bytes than this; 0 = only when bytes are dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_file_over_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A piece of output, in the order it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFrame {
    /// Which stream.
    pub stream: OutputStream,
    /// Never cut inside a character; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnReply {
    /// Exit code; absent when a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The timeout ended it.
    #[serde(default)]
    pub timed_out: bool,
    /// The caller ended it.
    #[serde(default)]
    pub cancelled: bool,
    /// Bytes that it wrote.
    pub output_bytes: u64,
    /// Bytes of these that were dropped in the middle.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// The whole output, both streams as they came, in a file that the file verbs read; absent when nothing was cut.
    ///
    /// It is kept for a while, not for ever: newer ones take its room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
    /// Why there is no such file although something was cut, or what is missing in it; empty = nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output_file_note: String,
    /// From start to end.
    pub duration_ms: u64,
}

/// `exec.v1/stat`.
pub struct Stat;

impl Verb for Stat {
    type Params = StatParams;
    type Reply = StatReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/stat";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Which path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatParams {
    /// Absolute, or relative to `cwd`.
    pub path: String,
    /// Absolute.
    pub cwd: String,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatReply {
    /// What it is, links followed.
    pub kind: FileKind,
    /// Size in bytes of a file.
    pub bytes: u64,
    /// Last change, unix ms.
    pub modified_at: u64,
    /// Absolute path.
    pub path: String,
    /// Where that really lies: absolute, without links in it; empty = whoever serves this cannot tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub real_path: String,
}

/// What a path is. A kind that the reader does not know counts as `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, socket or pipe: never opened.
    #[serde(other)]
    Other,
}

/// `exec.v1/read`: bytes of a regular file.
pub struct Read;

impl Verb for Read {
    type Params = ReadParams;
    type Reply = ReadReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/read";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Most bytes of one read.
pub const READ_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Which bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadParams {
    /// Absolute, or relative to `cwd`.
    pub path: String,
    /// Absolute.
    pub cwd: String,
    /// First byte.
    #[serde(default)]
    pub offset: u64,
    /// Most bytes, at most [`READ_BYTES_MAX`]; 0 = that.
    #[serde(default)]
    pub bytes_max: u64,
}

/// Some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReply {
    /// Base64.
    pub data: String,
    /// Size of the file now.
    pub file_bytes: u64,
    /// These were the last ones.
    pub eof: bool,
}

/// `exec.v1/list`: names in a directory.
pub struct List;

impl Verb for List {
    type Params = ListParams;
    type Reply = ListReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/list";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Most entries of one list.
pub const LIST_ENTRIES_MAX: usize = 10_000;

/// Which directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParams {
    /// Absolute, or relative to `cwd`.
    pub path: String,
    /// Absolute.
    pub cwd: String,
    /// Most entries; 0 = [`LIST_ENTRIES_MAX`].
    #[serde(default)]
    pub entries_max: usize,
}

/// Its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReply {
    /// Sorted bytewise.
    pub entries: Vec<ListEntry>,
    /// There were more.
    pub truncated: bool,
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntry {
    /// Without its directory.
    pub name: String,
    /// What it is, links followed; `other` for a dangling one.
    pub kind: FileKind,
}

/// `exec.v1/write`: replaces or makes a regular file, whole or not at all (temporary file, then rename).
///
/// Codes beside the contract's: `conflict` (detail `{sha256}` of what is there) when `if_exists` is `fail` and there is a
/// file, or `expect_sha256` does not hold; nothing was changed then.
pub struct Write;

impl Verb for Write {
    type Params = WriteParams;
    type Reply = WriteReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/write";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Most bytes of one write.
pub const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What to write, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteParams {
    /// Absolute, or relative to `cwd`. A link is followed, and its target is replaced.
    pub path: String,
    /// Absolute.
    pub cwd: String,
    /// Base64 of at most [`WRITE_BYTES_MAX`].
    pub data: String,
    /// What to do when there is a file already.
    pub if_exists: IfExists,
    /// The sha256 (hex) that the file must have now; absent = whatever it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_sha256: Option<String>,
    /// Make missing directories above it.
    #[serde(default)]
    pub make_dirs: bool,
}

/// What to do when there is a file already. A wish that the reader does not know counts as `fail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// Replace its content; its mode stays.
    Replace,
    /// `conflict`.
    #[serde(other)]
    Fail,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReply {
    /// Absolute path.
    pub path: String,
    /// Bytes of the file now.
    pub bytes: u64,
    /// sha256 of them, hex.
    pub sha256: String,
    /// Whether there was no file before.
    pub created: bool,
}

/// `exec.v1/roots`: which parts of the computer the file verbs reach, seen from a directory.
///
/// For an instance that opens files itself, such as one that keeps an index, and has to keep to the answer; no extension
/// of this repository does, since [`Search`] is a verb.
pub struct Roots;

impl Verb for Roots {
    type Params = RootsParams;
    type Reply = RootsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "exec.v1/roots";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Seen from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootsParams {
    /// Absolute.
    pub cwd: String,
}

/// What may be read.
///
/// Of all directories and files named here that lie above a path, or are it, the nearest one decides. What is not to be
/// read is passed over where it is met, and refused where it is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootsReply {
    /// Absolute paths of directories, without links in them; absent = the whole machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
    /// Not to be read although they lie in the roots: the host's own. Like `roots`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Not to be read either: directories and files where secrets lie. They need not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// May be read all the same, though they lie in one of `except` or `sensitive`, or are one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except_but: Vec<String>,
}
