//! Blobs of one namespace: the parts as they came, under the sha256 of the whole.

use crate::room::{ITEM_BYTES, Room};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::storage::{BlobPart, BlobPutParams};
use dispatch_sdk::{Fault, fault};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// An upload that nobody has touched for this long is dropped.
pub(crate) const UPLOAD_IDLE_MS_MAX: u64 = 10 * 60 * 1000;
/// Most unfinished uploads of one caller.
pub(crate) const UPLOADS_MAX: usize = 64;
const UPLOADS_RETRY_AFTER_MS: u64 = 1000;
/// Bytes of a frame's part before base64: 64 KiB after it.
const FRAME_PART_BYTES: usize = 48 * 1024;

/// One part of an upload, as it came through the door.
pub(crate) struct Part {
    pub(crate) upload_id: String,
    pub(crate) offset: u64,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) last: bool,
    pub(crate) now_ms: u64,
}

impl Part {
    /// Errors: `invalid`, `too_large`.
    pub(crate) fn read(params: BlobPutParams, now_ms: u64) -> Result<Self, Fault> {
        let bytes = dispatch_sdk::blob_part(&params)?;
        let BlobPutParams { upload_id, offset, last, .. } = params;
        Ok(Self { upload_id, offset, bytes: bytes.into_boxed_slice(), last, now_ms })
    }
}

pub(crate) fn frame(part: &[u8]) -> BlobPart {
    BlobPart { data: STANDARD.encode(part) }
}

/// The bytes of a blob, whole or not yet.
#[derive(Default)]
pub(crate) struct Blob {
    parts: Vec<Box<[u8]>>,
    n_bytes: u64,
}

impl Blob {
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Pieces small enough for a frame, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().flat_map(|part| part.chunks(FRAME_PART_BYTES))
    }

    fn push(&mut self, bytes: Box<[u8]>) {
        self.n_bytes += bytes.len() as u64;
        self.parts.push(bytes);
    }

    /// What it takes of the room.
    fn taken(&self) -> u64 {
        self.n_bytes + ITEM_BYTES * self.parts.len() as u64
    }
}

struct Upload {
    blob: Blob,
    hasher: Sha256,
    touched_at: u64,
}

#[derive(Default)]
pub(crate) struct Blobs {
    kept: HashMap<String, Arc<Blob>>,
    uploads: HashMap<String, Upload>,
}

impl Blobs {
    /// Takes the next part; the hash once it was the last one.
    pub(crate) fn put(&mut self, part: Part, room: &mut Room) -> Result<Option<String>, Fault> {
        self.drop_idle(part.now_ms, room);
        self.check(&part)?;
        room.exchange(part.bytes.len() as u64 + ITEM_BYTES, 0)?;
        let upload = self.uploads.entry(part.upload_id.clone()).or_insert_with(|| Upload {
            blob: Blob::default(),
            hasher: Sha256::new(),
            touched_at: part.now_ms,
        });
        upload.touched_at = part.now_ms;
        upload.hasher.update(&part.bytes);
        upload.blob.push(part.bytes);
        if !part.last {
            return Ok(None);
        }
        Ok(self.uploads.remove(&part.upload_id).map(|upload| self.keep(upload, room)))
    }

    pub(crate) fn get(&self, hash: &str) -> Result<Arc<Blob>, Fault> {
        let missing = || Fault::new(fault::NOT_FOUND, format!("no blob `{hash}`"));
        self.kept.get(hash).cloned().ok_or_else(missing)
    }

    /// Whether there was one. Who reads it now keeps its bytes until the end.
    pub(crate) fn delete(&mut self, hash: &str, room: &mut Room) -> bool {
        let gone = self.kept.remove(hash);
        if let Some(blob) = &gone {
            room.give_back(blob.taken());
        }
        gone.is_some()
    }

    /// Refuses a part that is not the next one of its upload, and an upload too many.
    fn check(&self, part: &Part) -> Result<(), Fault> {
        let Some(upload) = self.uploads.get(&part.upload_id) else {
            return self.check_first(part);
        };
        let next = upload.blob.n_bytes;
        if part.offset == next {
            return Ok(());
        }
        let message =
            format!("the upload `{}` goes on at offset {next}, not at {}", part.upload_id, part.offset);
        Err(Fault::new(fault::INVALID, message).with_detail(json!({ "offset": next })))
    }

    fn check_first(&self, part: &Part) -> Result<(), Fault> {
        if part.offset != 0 {
            let message = format!(
                "no upload `{}` is open at offset {}; one untouched for {} minutes is dropped: send it from offset 0",
                part.upload_id,
                part.offset,
                UPLOAD_IDLE_MS_MAX / 60_000
            );
            return Err(Fault::new(fault::INVALID, message));
        }
        if self.uploads.len() < UPLOADS_MAX {
            return Ok(());
        }
        let message = format!("there are {UPLOADS_MAX} unfinished uploads; finish one first");
        let detail = json!({ "retry_after_ms": UPLOADS_RETRY_AFTER_MS });
        Err(Fault::new(fault::OVERLOADED, message).with_detail(detail))
    }

    /// Keeps what has become whole; what was there before under the same hash stays, and its double goes.
    fn keep(&mut self, upload: Upload, room: &mut Room) -> String {
        let hash: String = upload.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if self.kept.contains_key(&hash) {
            room.give_back(upload.blob.taken());
        } else {
            self.kept.insert(hash.clone(), Arc::new(upload.blob));
        }
        hash
    }

    fn drop_idle(&mut self, now_ms: u64, room: &mut Room) {
        self.uploads.retain(|_, upload| {
            let is_idle = now_ms.saturating_sub(upload.touched_at) >= UPLOAD_IDLE_MS_MAX;
            if is_idle {
                room.give_back(upload.blob.taken());
            }
            !is_idle
        });
    }
}
