//! Blobs of one namespace: the parts as they came, under the sha256 of the whole.

use crate::room::{ITEM_BYTES, Room};
use dispatch_sdk::{Fault, UPLOAD_IDLE_MS_MAX, UPLOADS_MAX, UploadPart, fault, hex, too_many_uploads};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a frame's part before base64: 64 KiB after it.
const FRAME_PART_BYTES: usize = 48 * 1024;

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
    /// Takes the next part that `caller` sends; the hash once it was the last one.
    pub(crate) fn put(
        &mut self,
        caller: &str,
        part: UploadPart,
        now_ms: u64,
        room: &mut Room,
    ) -> Result<Option<String>, Fault> {
        self.drop_idle(now_ms, room);
        self.check(caller, &part)?;
        room.exchange(part.bytes.len() as u64 + ITEM_BYTES, 0)?;
        let upload = self.uploads.entry(part.upload_id.clone()).or_insert_with(|| Upload {
            blob: Blob::default(),
            hasher: Sha256::new(),
            touched_at: now_ms,
        });
        upload.touched_at = now_ms;
        upload.hasher.update(&part.bytes);
        upload.blob.push(part.bytes.into_boxed_slice());
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
    fn check(&self, caller: &str, part: &UploadPart) -> Result<(), Fault> {
        match self.uploads.get(&part.upload_id) {
            Some(upload) if part.offset != upload.blob.n_bytes => Err(part.not_next(upload.blob.n_bytes)),
            Some(_) => Ok(()),
            None if part.offset != 0 => Err(part.not_open()),
            None if self.uploads.len() >= UPLOADS_MAX => Err(too_many_uploads(caller)),
            None => Ok(()),
        }
    }

    /// Keeps what has become whole; what was there before under the same hash stays, and its double goes.
    fn keep(&mut self, upload: Upload, room: &mut Room) -> String {
        let hash = hex(&upload.hasher.finalize());
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
