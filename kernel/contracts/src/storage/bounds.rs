//! What parameters of `storage.v1` must keep to, and what a commit requires. It must not know any store.

use super::{
    BLOB_BYTES_MAX, BLOB_PART_BYTES_MAX, BlobPutParams, COMMIT_BYTES_MAX, COMMIT_ITEMS_MAX, CommitParams,
    DELETE_RANGE_LIMIT_MAX, DeleteRangeParams, GetParams, KEY_BYTES_MAX, Require, SCAN_BYTES_MAX,
    SCAN_LIMIT_MAX, ScanParams, UPLOAD_ID_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::fault::{CONFLICT, Fault, INVALID, TOO_LARGE};
use serde_json::json;

impl GetParams {
    /// Errors: `invalid`.
    pub fn check(&self) -> Result<(), Fault> {
        check_key(&self.key)
    }
}

impl ScanParams {
    /// The same scan with its bounds filled in: `limit` and `bytes_max` are at least 1. Errors: `invalid`.
    pub fn bounded(mut self) -> Result<Self, Fault> {
        check_range(&self.start, &self.end)?;
        self.limit = filled(self.limit, SCAN_LIMIT_MAX);
        self.bytes_max = filled(self.bytes_max, SCAN_BYTES_MAX);
        Ok(self)
    }
}

impl CommitParams {
    /// Errors: `invalid`, `too_large`.
    pub fn check(&self) -> Result<(), Fault> {
        let n_items = self.require.len() + self.put.len() + self.delete.len();
        if n_items > COMMIT_ITEMS_MAX {
            return Err(too_large(format!(
                "a commit has {n_items} items, more than {COMMIT_ITEMS_MAX}; split it"
            )));
        }
        let required = self.require.iter().map(|require| &require.key);
        let put = self.put.iter().map(|put| &put.key);
        required.chain(&self.delete).chain(put).try_for_each(|key| check_key(key))?;
        if let Some(put) = self.put.iter().find(|put| put.value.get().len() > VALUE_BYTES_MAX) {
            let n_bytes = put.value.get().len();
            return Err(too_large(format!(
                "the value of `{}` has {n_bytes} bytes, more than {VALUE_BYTES_MAX}; keep it as a blob",
                put.key
            )));
        }
        let n_bytes = self.n_bytes();
        if n_bytes > COMMIT_BYTES_MAX {
            return Err(too_large(format!(
                "a commit has {n_bytes} bytes, more than {COMMIT_BYTES_MAX}; split it"
            )));
        }
        Ok(())
    }

    /// Bytes of its keys and values.
    pub fn n_bytes(&self) -> usize {
        let required = self.require.iter().map(|require| require.key.len());
        let put = self.put.iter().map(|put| put.key.len() + put.value.get().len());
        required.chain(put).chain(self.delete.iter().map(String::len)).sum()
    }
}

impl Require {
    /// Whether it holds for what a store has under the key. Errors: `conflict` (detail `{key}`).
    pub fn check(&self, found: Option<u64>) -> Result<(), Fault> {
        let Self { key, version } = self;
        if found == *version {
            return Ok(());
        }
        let shown =
            |version: Option<u64>| version.map_or("absent".to_owned(), |version| format!("at {version}"));
        let message = format!(
            "cannot commit: `{key}` must be {} and is {}; read it again and retry",
            shown(*version),
            shown(found)
        );
        Err(Fault::new(CONFLICT, message).with_detail(json!({ "key": key })))
    }
}

impl DeleteRangeParams {
    /// The same range with its limit filled in: at least 1. Errors: `invalid`, `too_large`.
    pub fn bounded(mut self) -> Result<Self, Fault> {
        check_range(&self.start, &self.end)?;
        let n_items = self.require.len();
        if n_items > COMMIT_ITEMS_MAX {
            let message = format!("{n_items} preconditions are more than {COMMIT_ITEMS_MAX}; use fewer");
            return Err(too_large(message));
        }
        self.require.iter().try_for_each(|require| check_key(&require.key))?;
        self.limit = filled(self.limit, DELETE_RANGE_LIMIT_MAX);
        Ok(self)
    }
}

impl BlobPutParams {
    /// Checks the part, whose `data` is `n_bytes` long without its base64. Errors: `invalid`, `too_large`.
    pub fn check(&self, n_bytes: usize) -> Result<(), Fault> {
        if self.upload_id.is_empty() {
            return Err(Fault::new(INVALID, "an upload id is empty; choose one"));
        }
        check_text("an upload id", &self.upload_id, UPLOAD_ID_BYTES_MAX)?;
        if n_bytes > BLOB_PART_BYTES_MAX {
            let message =
                format!("a part has {n_bytes} bytes, more than {BLOB_PART_BYTES_MAX}; send smaller ones");
            return Err(too_large(message));
        }
        if self.offset.saturating_add(n_bytes as u64) > BLOB_BYTES_MAX {
            let message = format!("the upload `{}` grows beyond {BLOB_BYTES_MAX} bytes", self.upload_id);
            return Err(too_large(message));
        }
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), Fault> {
    check_text("a key", key, KEY_BYTES_MAX)
}

/// A bound may be one byte longer than a key: what comes after the longest key is.
fn check_range(start: &str, end: &str) -> Result<(), Fault> {
    [start, end].iter().try_for_each(|bound| check_text("a bound of a range", bound, KEY_BYTES_MAX + 1))
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() > bytes_max {
        return Err(Fault::new(INVALID, format!("{what} has {} bytes, more than {bytes_max}", text.len())));
    }
    if text.contains('\0') {
        return Err(Fault::new(INVALID, format!("{what} holds a NUL: `{}`", text.escape_debug())));
    }
    Ok(())
}

/// `asked` within 1 to `max`; 0 stands for `max`.
fn filled(asked: usize, max: usize) -> usize {
    if asked == 0 { max } else { asked.min(max) }
}

fn too_large(message: String) -> Fault {
    Fault::new(TOO_LARGE, message)
}
