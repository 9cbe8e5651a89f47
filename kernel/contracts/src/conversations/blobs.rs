//! Bytes that messages name by their hash: images, so far. They are read by whoever makes a request of a history.

use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// `conversations.v1/keep_blob`: keeps bytes, durably before the reply; the same bytes are kept once.
///
/// At most `message::IMAGE_BYTES_MAX` bytes: `too_large`. What is no base64 is `invalid`.
pub struct KeepBlob;

impl Verb for KeepBlob {
    type Params = KeepBlobParams;
    type Reply = KeepBlobReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/keep_blob";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// What to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepBlobParams {
    /// Base64 with padding.
    pub data: String,
}

/// Its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepBlobReply {
    /// SHA-256, lower-case hex.
    pub hash: String,
}

/// `conversations.v1/blob`: the bytes of that name. `not_found`, or `too_large` above `message::IMAGE_BYTES_MAX`.
pub struct Blob;

impl Verb for Blob {
    type Params = BlobParams;
    type Reply = BlobReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/blob";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobParams {
    /// SHA-256, lower-case hex.
    pub hash: String,
}

/// The bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobReply {
    /// Base64 with padding.
    pub data: String,
}
