//! `storage.v1`: an ordered key-value store with transactions. Single-valued.
//!
//! Keys are UTF-8 without NUL, at most [`KEY_BYTES_MAX`]; values are JSON, kept byte for byte, at most
//! [`VALUE_BYTES_MAX`]. The namespace is the caller as the router stamped it: no instance sees another's keys.
//! `commit` is atomic and durable before its reply; commits that wait while one runs go together in the next.
//! Codes: `invalid` (key or value out of bounds), `conflict` (detail `{key}`), `too_large`, `io`,
//! `no_space` (nothing was written; reads go on), `corrupt` (detail `{path}`).
//!
//! What is out of bounds is refused by the parameters' own `check` and `bounded`, so that every store refuses the same.

mod bounds;

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
/// Most bytes of keys and values together in one commit; what a body may have beyond it is for their JSON.
pub const COMMIT_BYTES_MAX: usize = 14 * 1024 * 1024;
/// Most entries that one `delete_range` deletes.
pub const DELETE_RANGE_LIMIT_MAX: usize = 4096;
/// Most bytes of values that one `delete_range` deletes; it ends early with `more`.
pub const DELETE_RANGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of a blob.
pub const BLOB_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes of one part of an upload, before base64.
pub const BLOB_PART_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of an upload's id.
pub const UPLOAD_ID_BYTES_MAX: usize = 256;
/// Most watches of one store at once, of all callers together.
pub const WATCHES_MAX: usize = 64;
/// Least time between two ticks of one watch.
pub const WATCH_TICK_MS_MIN: u64 = 20;

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
    /// Most bytes of the page's values, of its keys with `keys_only`; 0 = [`SCAN_BYTES_MAX`], which is the most.
    /// A page holds one entry at least, however large it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_max: usize,
    /// Without the values: `null` stands for each.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keys_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(is: &bool) -> bool {
    !is
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

/// `storage.v1/delete_range`: removes the first entries of `[start, end)`, as many as the bounds allow.
///
/// What one call removes is atomic and durable before its reply. A larger range takes several calls: a store has one
/// writer, and a range of any size in one piece would keep all others waiting.
pub struct DeleteRange;

impl Verb for DeleteRange {
    type Params = DeleteRangeParams;
    type Reply = DeleteRangeReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/delete_range";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which keys. Both ends have to be said, so that nobody empties a namespace by leaving something out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeleteRangeParams {
    /// First key, inclusive; empty = from the beginning.
    pub start: String,
    /// End, exclusive; empty = to the end.
    pub end: String,
    /// Preconditions, as in `commit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Require>,
    /// Most entries, 1 to [`DELETE_RANGE_LIMIT_MAX`]; 0 = [`DELETE_RANGE_LIMIT_MAX`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub limit: usize,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRangeReply {
    /// Entries removed by this call.
    pub n_deleted: u64,
    /// There are more in the range: call again.
    pub more: bool,
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
    /// Base64 of at most [`BLOB_PART_BYTES_MAX`].
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

/// `storage.v1/blob_delete`: the caller's hold on a blob ends; the bytes go when no other caller holds them.
pub struct BlobDelete;

impl Verb for BlobDelete {
    type Params = BlobDeleteParams;
    type Reply = BlobDeleteReply;
    type Frame = NoFrame;
    const NAME: &'static str = "storage.v1/blob_delete";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobDeleteParams {
    /// sha256, hex.
    pub hash: String,
}

/// Whether there was one. A reader in the middle of it ends with `not_found`, or gets all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobDeleteReply {
    /// The caller held it until now.
    pub deleted: bool,
}

/// `storage.v1/watch`: a tick when something changed in the caller's namespace, by this process or another one.
///
/// The first tick comes at once and says that the watch stands: whatever is committed after it ticks again. Changes
/// that come together are one tick, at most one in [`WATCH_TICK_MS_MIN`]. A tick is a reason to read, not a promise
/// that something is new: of another process a store may know only that it wrote. Ends with its caller or the store.
/// Errors: `overloaded` more than [`WATCHES_MAX`].
pub struct Watch;

impl Verb for Watch {
    type Params = Empty;
    type Reply = Empty;
    type Frame = WatchTick;
    const NAME: &'static str = "storage.v1/watch";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// Something may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchTick {}

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
