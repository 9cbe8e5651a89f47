//! The bounds of `storage.v1`, checked before anything is changed. It must not know how things are kept.

use crate::blobs::Part;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::storage::{
    BLOB_BYTES_MAX, BlobPutParams, COMMIT_ITEMS_MAX, CommitParams, KEY_BYTES_MAX, SCAN_LIMIT_MAX, ScanParams,
    VALUE_BYTES_MAX,
};
use dispatch_sdk::{Fault, fault};

/// Most bytes of a part before base64.
const PART_BYTES_MAX: usize = 1024 * 1024;
const UPLOAD_ID_BYTES_MAX: usize = 256;

pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    check_text("a key", key, KEY_BYTES_MAX)
}

/// The same scan with its limit filled in. A bound may be one byte longer than a key: `after_key` of the longest.
pub(crate) fn check_scan(mut params: ScanParams) -> Result<ScanParams, Fault> {
    for bound in [&params.start, &params.end] {
        check_text("a bound of a scan", bound, KEY_BYTES_MAX + 1)?;
    }
    params.limit = match params.limit {
        0 => SCAN_LIMIT_MAX,
        limit => limit.min(SCAN_LIMIT_MAX),
    };
    Ok(params)
}

pub(crate) fn check_commit(params: &CommitParams) -> Result<(), Fault> {
    let n_items = params.require.len() + params.put.len() + params.delete.len();
    if n_items > COMMIT_ITEMS_MAX {
        let message = format!("a commit has {n_items} items, more than {COMMIT_ITEMS_MAX}; split it");
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    let required = params.require.iter().map(|require| &require.key);
    let put = params.put.iter().map(|put| &put.key);
    required.chain(&params.delete).chain(put).try_for_each(|key| check_key(key))?;
    match params.put.iter().find(|put| put.value.get().len() > VALUE_BYTES_MAX) {
        None => Ok(()),
        Some(put) => {
            let bytes = put.value.get().len();
            let message = format!(
                "the value of `{}` has {bytes} bytes, more than {VALUE_BYTES_MAX}; keep it as a blob",
                put.key
            );
            Err(Fault::new(fault::TOO_LARGE, message))
        }
    }
}

pub(crate) fn check_part(params: BlobPutParams, now_ms: u64) -> Result<Part, Fault> {
    let BlobPutParams { upload_id, offset, data, last } = params;
    if upload_id.is_empty() {
        return Err(Fault::new(fault::INVALID, "an upload id is empty; choose one"));
    }
    check_text("an upload id", &upload_id, UPLOAD_ID_BYTES_MAX)?;
    let bytes = STANDARD.decode(&data).map_err(|e| {
        Fault::new(fault::INVALID, format!("the part at {offset} of `{upload_id}` is not base64: {e}"))
    })?;
    let n_bytes = bytes.len();
    if n_bytes > PART_BYTES_MAX {
        let message = format!("a part has {n_bytes} bytes, more than {PART_BYTES_MAX}; send smaller ones");
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    if offset.saturating_add(n_bytes as u64) > BLOB_BYTES_MAX {
        let message = format!("the upload `{upload_id}` grows beyond {BLOB_BYTES_MAX} bytes");
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    Ok(Part { upload_id, offset, bytes: bytes.into_boxed_slice(), last, now_ms })
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() > bytes_max {
        let message = format!("{what} has {} bytes, more than {bytes_max}", text.len());
        return Err(Fault::new(fault::INVALID, message));
    }
    if text.contains('\0') {
        return Err(Fault::new(fault::INVALID, format!("{what} holds a NUL: `{}`", text.escape_debug())));
    }
    Ok(())
}
