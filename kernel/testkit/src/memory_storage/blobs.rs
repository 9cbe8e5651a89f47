//! Blobs of one namespace, by their hash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{INVALID, NOT_FOUND};
use dispatch_contracts::storage::{BlobPart, BlobPutParams};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of a part before base64, going out: 64 KiB after it.
const PART_BYTES: usize = 48 * 1024;

#[derive(Default)]
pub(super) struct Blobs {
    kept: HashMap<String, Arc<Vec<u8>>>,
    uploads: HashMap<String, Vec<u8>>,
}

impl Blobs {
    /// Takes the next part; the hash once it was the last.
    pub(super) fn put(&mut self, params: &BlobPutParams) -> Result<Option<String>, Fault> {
        let part = dispatch_sdk::blob_part(params)?;
        let so_far = self.uploads.get(&params.upload_id).map_or(0, Vec::len) as u64;
        if params.offset != so_far {
            let message =
                format!("the next part of `{}` begins at {so_far}, not {}", params.upload_id, params.offset);
            return Err(Fault::new(INVALID, message));
        }
        self.uploads.entry(params.upload_id.clone()).or_default().extend(part);
        if !params.last {
            return Ok(None);
        }
        let blob = self.uploads.remove(&params.upload_id).unwrap_or_default();
        let hash = hash(&blob);
        self.kept.insert(hash.clone(), Arc::new(blob));
        Ok(Some(hash))
    }

    /// Whether there was one.
    pub(super) fn delete(&mut self, hash: &str) -> bool {
        self.kept.remove(hash).is_some()
    }

    pub(super) fn get(&self, hash: &str) -> Result<Arc<Vec<u8>>, Fault> {
        self.kept
            .get(hash)
            .cloned()
            .ok_or_else(|| Fault::new(NOT_FOUND, format!("there is no blob `{hash}`")))
    }
}

pub(super) fn parts(blob: &[u8]) -> impl Iterator<Item = BlobPart> {
    blob.chunks(PART_BYTES).map(|part| BlobPart { data: STANDARD.encode(part) })
}

/// sha256, lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every byte");
        hex
    })
}
