//! The bounds of `storage.v1`, checked before anything waits or is written. It must not know SQLite.

use crate::blobs::Part;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::storage::{
    BLOB_BYTES_MAX, BlobPutParams, COMMIT_ITEMS_MAX, CommitParams, KEY_BYTES_MAX, SCAN_LIMIT_MAX, ScanParams,
    VALUE_BYTES_MAX,
};
use dispatch_sdk::{Fault, fault};

const PART_BYTES_MAX: usize = 1024 * 1024;
const UPLOAD_ID_BYTES_MAX: usize = 256;

pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    if key.len() > KEY_BYTES_MAX {
        return Err(invalid(format!("a key of {} bytes is longer than {KEY_BYTES_MAX}", key.len())));
    }
    if key.contains('\0') {
        return Err(invalid(format!("the key `{}` holds a NUL", key.escape_default())));
    }
    Ok(())
}

/// The same scan with its limit filled in.
pub(crate) fn check_scan(mut params: ScanParams) -> Result<ScanParams, Fault> {
    // A bound may be one byte longer than a key: `after_key` of the longest one.
    for bound in [&params.start, &params.end] {
        if bound.len() > KEY_BYTES_MAX + 1 || bound.contains('\0') {
            return Err(invalid(format!(
                "a bound of a scan is at most {} bytes without NUL; got {} bytes",
                KEY_BYTES_MAX + 1,
                bound.len()
            )));
        }
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
        return Err(too_large(format!(
            "a commit of {n_items} items is larger than {COMMIT_ITEMS_MAX}; split it"
        )));
    }
    params.require.iter().try_for_each(|require| check_key(&require.key))?;
    params.delete.iter().try_for_each(|key| check_key(key))?;
    for put in &params.put {
        check_key(&put.key)?;
        let bytes = put.value.get().len();
        if bytes > VALUE_BYTES_MAX {
            return Err(too_large(format!(
                "the value of `{}` has {bytes} bytes, more than {VALUE_BYTES_MAX}; keep it as a blob",
                put.key
            )));
        }
    }
    Ok(())
}

/// Reads one part of an upload that `caller` sends.
pub(crate) fn check_part(caller: &str, params: BlobPutParams, now_ms: u64) -> Result<Part, Fault> {
    let BlobPutParams { upload_id, offset, data, last } = params;
    if upload_id.is_empty() || upload_id.len() > UPLOAD_ID_BYTES_MAX || upload_id.contains('\0') {
        return Err(invalid(format!("an upload id has 1 to {UPLOAD_ID_BYTES_MAX} bytes without NUL")));
    }
    let bytes = STANDARD
        .decode(&data)
        .map_err(|e| invalid(format!("part {offset} of the upload `{upload_id}` is not base64: {e}")))?;
    if bytes.len() > PART_BYTES_MAX {
        return Err(too_large(format!(
            "a part of {} bytes is larger than {PART_BYTES_MAX}; send smaller parts",
            bytes.len()
        )));
    }
    if offset.saturating_add(bytes.len() as u64) > BLOB_BYTES_MAX {
        return Err(too_large(format!("the upload `{upload_id}` grows beyond {BLOB_BYTES_MAX} bytes")));
    }
    Ok(Part { namespace: caller.to_owned(), upload_id, offset, bytes, last, now_ms })
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn invalid(message: String) -> Fault {
    Fault::new(fault::INVALID, message)
}

fn too_large(message: String) -> Fault {
    Fault::new(fault::TOO_LARGE, message)
}
