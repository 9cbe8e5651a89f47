//! `storage.v1`: an ordered key-value store with transactions. Single-valued.
//!
//! Keys are UTF-8 without NUL, at most [`KEY_BYTES_MAX`]; values are JSON, kept byte for byte, at most
//! [`VALUE_BYTES_MAX`]. The namespace is the caller as the router stamped it: no instance sees another's keys.
//! `commit` is atomic and durable before its reply; commits that wait while one runs go together in the next.
//! Codes: `invalid` (key or value out of bounds), `conflict` (detail `{key}`), `too_large`, `io`,
//! `no_space` (nothing was written; reads go on), `corrupt` (detail `{path}`).

use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most bytes of a key.
pub const KEY_BYTES_MAX: usize = 512;
/// Most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most entries of one scan.
pub const SCAN_LIMIT_MAX: usize = 1000;
/// Most bytes of values in one scan's reply; it ends early with `more`.
pub const SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most puts, deletes and preconditions together in one commit.
pub const COMMIT_ITEMS_MAX: usize = 4096;
/// Most bytes of a blob.
pub const BLOB_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The disk or the quota is full; nothing was written.
pub const NO_SPACE: &str = "no_space";
/// The store is damaged; it is kept as it is.
pub const CORRUPT: &str = "corrupt";

/// `storage.v1/get`.
pub struct Get;

impl Verb for Get {
    type Params = GetParams;
    type Reply = GetReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/get";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetParams {
    /// The key.
    pub key: String,
}

/// Its entry, if there is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetReply {
    /// Absent = no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
}

/// A key with its value and version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// JSON, as it was put.
    pub value: Box<RawValue>,
    /// Rises with each put of this key; never reused, not even after a delete.
    pub version: u64,
}

/// `storage.v1/scan`: bytewise ascending keys in `[start, end)`.
pub struct Scan;

impl Verb for Scan {
    type Params = ScanParams;
    type Reply = ScanReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/scan";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScanParams {
    /// First key, inclusive; empty = from the beginning.
    #[serde(default)]
    pub start: String,
    /// End, exclusive; empty = to the end.
    #[serde(default)]
    pub end: String,
    /// Most entries, 1 to [`SCAN_LIMIT_MAX`]; 0 = [`SCAN_LIMIT_MAX`].
    #[serde(default)]
    pub limit: usize,
    /// From the end backwards.
    #[serde(default)]
    pub reverse: bool,
}

/// One page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScanReply {
    /// In the order asked for.
    pub entries: Vec<Entry>,
    /// There are more: go on after the last key (ascending: `start` = last key + `\u{1}`… see [`after_key`]).
    pub more: bool,
}

/// The smallest key greater than `key`: where the next page starts.
pub fn after_key(key: &str) -> String {
    let mut next = key.to_owned();
    next.push('\u{1}');
    next
}

/// `storage.v1/commit`.
pub struct Commit;

impl Verb for Commit {
    type Params = CommitParams;
    type Reply = CommitReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/commit";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// What must hold, and what is written if it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CommitParams {
    /// Preconditions; the first that fails is the `conflict`.
    #[serde(default)]
    pub require: Vec<Require>,
    /// Entries to write.
    #[serde(default)]
    pub put: Vec<Put>,
    /// Keys to remove; a missing one is no error.
    #[serde(default)]
    pub delete: Vec<String>,
}

/// A precondition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Require {
    /// The key.
    pub key: String,
    /// The version it must have; absent = the key must not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// An entry to write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Put {
    /// The key.
    pub key: String,
    /// JSON, kept byte for byte.
    pub value: Box<RawValue>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReply {
    /// Versions of `put`, in its order.
    pub versions: Vec<u64>,
    /// Whether it survives a power cut.
    pub durable: bool,
}

/// `storage.v1/blob_put`: keeps bytes under their sha256. Frames cannot flow to a callee, so parts are sent one by one.
pub struct BlobPut;

impl Verb for BlobPut {
    type Params = BlobPutParams;
    type Reply = BlobPutReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/blob_put";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// A part of a blob; parts of one upload come in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPutParams {
    /// Chosen by the caller; an upload untouched for ten minutes is dropped.
    pub upload_id: String,
    /// Where this part begins.
    pub offset: u64,
    /// Base64 of at most 1 MiB.
    pub data: String,
    /// The last part.
    #[serde(default)]
    pub last: bool,
}

/// The blob's name once it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPutReply {
    /// sha256, hex; absent until the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// `storage.v1/blob_get`: frames are base64 parts in order.
pub struct BlobGet;

impl Verb for BlobGet {
    type Params = BlobGetParams;
    type Reply = BlobGetReply;
    type Frame = BlobPart;
    const NAME: &'static str = "storage.v1/blob_get";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(60_000);
}

/// Which blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobGetParams {
    /// sha256, hex.
    pub hash: String,
}

/// Some bytes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPart {
    /// Base64.
    pub data: String,
}

/// How much there was. A missing blob is `not_found`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobGetReply {
    /// Its size.
    pub bytes: u64,
}

/// `storage.v1/info`.
pub struct Info;

impl Verb for Info {
    type Params = Empty;
    type Reply = InfoReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/info";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// What kind of store this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoReply {
    /// Whether commits survive a power cut; if not, acks built on it say so.
    pub durable: bool,
    /// `sqlite`, `memory`, …
    pub engine: String,
}
