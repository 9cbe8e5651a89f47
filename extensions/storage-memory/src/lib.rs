//! Keeps all state in memory: `storage.v1` for a host that may forget everything when it ends.
//!
//! It must not know what its callers keep in it, nor any file. Nothing waits here, so every verb but those that emit
//! frames is answered in place. Every commit says that it is not durable.

#![forbid(unsafe_code)]

mod blobs;
mod entries;
mod room;

#[cfg(test)]
mod tests;

use blobs::Blobs;
use dispatch_sdk::contracts::storage::{
    self, BlobDeleteReply, CommitReply, DeleteRangeReply, GetReply, InfoReply, ScanReply,
};
use dispatch_sdk::contracts::{Empty, instance};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, UploadPart, Verbs, Watches, blob_frame, fault};
use entries::Entries;
use room::{MEMORY_BYTES_MAX, Room};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

dispatch_sdk::export!(StorageMemory, settings);

struct StorageMemory {
    host: Host,
    state: Mutex<State>,
    watches: Arc<Watches>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Most bytes of keys, values and blobs together; beyond it a commit is `no_space`.
    bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes_max: MEMORY_BYTES_MAX }
    }
}

struct State {
    room: Room,
    namespaces: BTreeMap<String, Namespace>,
}

/// What one caller keeps.
#[derive(Default)]
struct Namespace {
    entries: Entries,
    blobs: Blobs,
}

impl State {
    fn of(&mut self, caller: &str) -> (&mut Namespace, &mut Room) {
        (self.namespaces.entry(caller.to_owned()).or_default(), &mut self.room)
    }
}

impl Extension for StorageMemory {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let Settings { bytes_max } = config.parse()?;
        let state = State { room: Room::new(bytes_max), namespaces: BTreeMap::new() };
        Ok(Self { host, state: Mutex::new(state), watches: Arc::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on_inline(storage::Get, Self::get);
        verbs.on_inline(storage::Scan, Self::scan);
        verbs.on_inline(storage::Commit, Self::commit);
        verbs.on_inline(storage::BlobPut, Self::blob_put);
        verbs.on(storage::BlobGet, Self::blob_get);
        verbs.on_inline(storage::BlobDelete, Self::blob_delete);
        verbs.on_inline(storage::DeleteRange, Self::delete_range);
        verbs.on(storage::Watch, Self::watch);
        verbs.on(storage::Info, Self::info);
        verbs.on(instance::Backup, |_, _: Call, _: instance::BackupParams| async { Err(nothing_kept()) });
        verbs.on(instance::Restore, |_, _: Call, _: instance::RestoreParams| async { Err(nothing_kept()) });
    }
}

impl StorageMemory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get(self: Arc<Self>, call: Call, params: storage::GetParams) -> Result<GetReply, Fault> {
        params.check()?;
        let mut state = self.lock();
        Ok(GetReply { entry: state.of(call.caller()).0.entries.get(&params.key) })
    }

    async fn scan(self: Arc<Self>, call: Call, params: storage::ScanParams) -> Result<ScanReply, Fault> {
        let params = params.bounded()?;
        let mut state = self.lock();
        Ok(state.of(call.caller()).0.entries.scan(&params))
    }

    async fn commit(
        self: Arc<Self>,
        call: Call,
        params: storage::CommitParams,
    ) -> Result<CommitReply, Fault> {
        params.check()?;
        let mut state = self.lock();
        let (namespace, room) = state.of(call.caller());
        let versions = namespace.entries.commit(params, room)?;
        self.watches.changed(call.caller());
        Ok(CommitReply { versions, durable: false })
    }

    async fn blob_put(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobPutParams,
    ) -> Result<storage::BlobPutReply, Fault> {
        // Decoded before the lock is taken, so that a part holds up nobody else for longer than its hash.
        let part = UploadPart::read(params)?;
        let mut state = self.lock();
        let (namespace, room) = state.of(call.caller());
        Ok(storage::BlobPutReply {
            hash: namespace.blobs.put(call.caller(), part, self.host.now_ms(), room)?,
        })
    }

    async fn blob_get(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobGetParams,
    ) -> Result<storage::BlobGetReply, Fault> {
        let blob = self.lock().of(call.caller()).0.blobs.get(&params.hash)?;
        for part in blob.parts() {
            call.emit(&blob_frame(part)).await?;
        }
        Ok(storage::BlobGetReply { bytes: blob.n_bytes() })
    }

    async fn blob_delete(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobDeleteParams,
    ) -> Result<BlobDeleteReply, Fault> {
        let mut state = self.lock();
        let (namespace, room) = state.of(call.caller());
        Ok(BlobDeleteReply { deleted: namespace.blobs.delete(&params.hash, room) })
    }

    async fn delete_range(
        self: Arc<Self>,
        call: Call,
        params: storage::DeleteRangeParams,
    ) -> Result<DeleteRangeReply, Fault> {
        let params = params.bounded()?;
        let mut state = self.lock();
        let (namespace, room) = state.of(call.caller());
        let (n_deleted, more) = namespace.entries.delete_range(&params, room)?;
        self.watches.changed(call.caller());
        Ok(DeleteRangeReply { n_deleted, more, durable: false })
    }

    async fn watch(self: Arc<Self>, call: Call, _params: Empty) -> Result<Empty, Fault> {
        self.watches.begin(call.caller())?.run(&call).await
    }

    async fn info(self: Arc<Self>, _call: Call, _params: Empty) -> Result<InfoReply, Fault> {
        Ok(InfoReply { durable: false, engine: "memory".to_owned() })
    }
}

fn nothing_kept() -> Fault {
    let message = "this build keeps everything in memory, and it is gone when the host ends: there is nothing to back \
                   up, and nothing that a restore would change; use a build with a store on disk";
    Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "in_memory" }))
}
