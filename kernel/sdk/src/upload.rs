//! Parts of blobs on their way into a store and out of it, and what a store says of an upload that cannot go on.
//!
//! It must not know any store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{INVALID, OVERLOADED};
use dispatch_contracts::storage::{BlobPart, BlobPutParams};
use serde_json::json;

/// An upload that nobody has touched for this long is dropped.
pub const UPLOAD_IDLE_MS_MAX: u64 = 10 * 60 * 1000;
/// Most unfinished uploads of one caller.
pub const UPLOADS_MAX: usize = 64;
const UPLOADS_RETRY_AFTER_MS: u64 = 1000;

/// One part of an upload, as it came through the door.
#[derive(Debug)]
pub struct UploadPart {
    /// The upload that it goes on with.
    pub upload_id: String,
    /// Bytes before it.
    pub offset: u64,
    /// Without their base64.
    pub bytes: Vec<u8>,
    /// The blob is whole with it.
    pub last: bool,
}

impl UploadPart {
    /// Reads a part within its bounds.
    ///
    /// Errors: `invalid` (no base64, or an upload id out of bounds), `too_large`.
    pub fn read(params: BlobPutParams) -> Result<Self, Fault> {
        let bytes = STANDARD.decode(&params.data).map_err(|e| {
            let (offset, upload_id) = (params.offset, &params.upload_id);
            Fault::new(INVALID, format!("the part at {offset} of `{upload_id}` is not base64: {e}"))
        })?;
        params.check(bytes.len())?;
        let BlobPutParams { upload_id, offset, last, .. } = params;
        Ok(Self { upload_id, offset, bytes, last })
    }

    /// `invalid`: there is no upload that it could go on with.
    pub fn not_open(&self) -> Fault {
        let message = format!(
            "no upload `{}` is open at offset {}; an upload untouched for {} minutes is dropped: send it from offset 0",
            self.upload_id,
            self.offset,
            UPLOAD_IDLE_MS_MAX / 60_000
        );
        Fault::new(INVALID, message)
    }

    /// `invalid` (detail `{offset}`): its upload goes on at another offset.
    pub fn not_next(&self, offset: u64) -> Fault {
        let message =
            format!("the upload `{}` goes on at offset {offset}, not at {}", self.upload_id, self.offset);
        Fault::new(INVALID, message).with_detail(json!({ "offset": offset }))
    }
}

/// `overloaded` (detail `{retry_after_ms}`): `caller` has [`UPLOADS_MAX`] unfinished uploads.
pub fn too_many_uploads(caller: &str) -> Fault {
    let message = format!("`{caller}` has {UPLOADS_MAX} unfinished uploads; finish one first");
    Fault::new(OVERLOADED, message).with_detail(json!({ "retry_after_ms": UPLOADS_RETRY_AFTER_MS }))
}

/// Bytes of a blob as the frame of `storage.v1/blob_get` that carries them.
pub fn blob_frame(bytes: &[u8]) -> BlobPart {
    BlobPart { data: STANDARD.encode(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_contracts::storage::BLOB_PART_BYTES_MAX;

    fn part(upload_id: &str, data: &str) -> Result<UploadPart, Fault> {
        let (upload_id, data) = (upload_id.to_owned(), data.to_owned());
        UploadPart::read(BlobPutParams { upload_id, offset: 3, data, last: false })
    }

    #[test]
    fn a_part_is_its_bytes_or_says_what_is_wrong_with_it() {
        let data = blob_frame(b"test").data;
        assert_eq!(data, "dGVzdA==");
        let read = part("u", &data).expect("it is one");
        assert_eq!(
            (read.upload_id.as_str(), read.offset, &*read.bytes, read.last),
            ("u", 3, &b"test"[..], false)
        );
        let fault = part("u", "no base64").expect_err("it is none");
        assert!(
            fault.is(INVALID) && fault.message.starts_with("the part at 3 of `u` is not base64: "),
            "{fault}"
        );
        assert!(part("", "dGVzdA==").expect_err("it has no id").is(INVALID));
        let large = STANDARD.encode(vec![0; BLOB_PART_BYTES_MAX + 1]);
        assert!(part("u", &large).expect_err("it is too large").is("too_large"));
    }
}
