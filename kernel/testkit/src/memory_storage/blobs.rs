//! Blobs of one namespace, by their hash.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::NOT_FOUND;
use dispatch_contracts::storage::BlobPart;
use dispatch_sdk::{UploadPart, blob_frame, hex};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
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
    pub(super) fn put(&mut self, part: UploadPart) -> Result<Option<String>, Fault> {
        let so_far = self.uploads.get(&part.upload_id).map_or(0, Vec::len) as u64;
        if part.offset != so_far {
            return Err(part.not_next(so_far));
        }
        self.uploads.entry(part.upload_id.clone()).or_default().extend(part.bytes);
        if !part.last {
            return Ok(None);
        }
        let blob = self.uploads.remove(&part.upload_id).unwrap_or_default();
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
    blob.chunks(PART_BYTES).map(blob_frame)
}

/// sha256, lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
