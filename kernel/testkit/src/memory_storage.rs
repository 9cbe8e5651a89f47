//! `storage.v1` in memory: what other extensions are tested over, with failures on demand.
//!
//! It must not know any extension. It keeps the same bounds and codes as a durable store (`storage_suite`).

mod blobs;
mod control;
mod entries;
mod faults;
#[cfg(test)]
mod tests;

pub(crate) use blobs::hash;
pub use control::MemoryControl;

use crate::Opened;
use blobs::Blobs;
use dispatch_contracts::storage::{
    BlobDelete, BlobDeleteParams, BlobDeleteReply, BlobGet, BlobGetParams, BlobGetReply, BlobPut,
    BlobPutParams, BlobPutReply, Commit, CommitParams, CommitReply, DeleteRange, DeleteRangeParams,
    DeleteRangeReply, Get, GetParams, GetReply, Info, InfoReply, Scan, ScanParams, ScanReply, Watch,
};
use dispatch_contracts::{Empty, Fault};
use dispatch_sdk::{Call, Config, Extension, Host, UploadPart, Verbs, Watches};
use entries::Entries;
use faults::{Faults, SetFaults, SetFaultsParams, WaitHeld, WaitHeldParams};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store that forgets. Opened with `{}` or `{"durable": true}`, which changes only what it says of itself.
pub struct MemoryStorage {
    config: MemoryConfig,
    namespaces: Mutex<HashMap<String, Namespace>>,
    faults: Faults,
    watches: Arc<Watches>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryConfig {
    durable: bool,
}

/// What one caller keeps.
#[derive(Default)]
struct Namespace {
    entries: Entries,
    blobs: Blobs,
}

impl Extension for MemoryStorage {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let (namespaces, faults, watches) = (Mutex::default(), Faults::default(), Arc::default());
        Ok(Self { config: config.parse()?, namespaces, faults, watches })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Get, Self::get);
        verbs.on(Scan, Self::scan);
        verbs.on(Commit, Self::commit);
        verbs.on(BlobPut, Self::blob_put);
        verbs.on(BlobGet, Self::blob_get);
        verbs.on(BlobDelete, Self::blob_delete);
        verbs.on(DeleteRange, Self::delete_range);
        verbs.on(Watch, Self::watch);
        verbs.on(Info, Self::info);
        verbs.on(SetFaults, Self::set_faults);
        verbs.on(WaitHeld, Self::wait_held);
    }
}

impl MemoryStorage {
    /// The handle that makes this store fail or hold its commits.
    pub fn control(opened: &Opened) -> MemoryControl {
        MemoryControl::new(opened.clone())
    }

    async fn get(self: Arc<Self>, call: Call, params: GetParams) -> Result<GetReply, Fault> {
        params.check()?;
        Ok(GetReply { entry: self.lock().entry(call.caller().into()).or_default().entries.get(&params.key) })
    }

    async fn scan(self: Arc<Self>, call: Call, params: ScanParams) -> Result<ScanReply, Fault> {
        let params = params.bounded()?;
        Ok(self.lock().entry(call.caller().into()).or_default().entries.scan(&params))
    }

    async fn commit(self: Arc<Self>, call: Call, params: CommitParams) -> Result<CommitReply, Fault> {
        params.check()?;
        let lost = self.faults.before_commit(&call).await?;
        let versions = self.lock().entry(call.caller().into()).or_default().entries.commit(params)?;
        self.watches.changed(call.caller());
        lost.map_or(Ok(CommitReply { versions, durable: self.config.durable }), Err)
    }

    async fn blob_put(self: Arc<Self>, call: Call, params: BlobPutParams) -> Result<BlobPutReply, Fault> {
        let part = UploadPart::read(params)?;
        let hash = self.lock().entry(call.caller().into()).or_default().blobs.put(part)?;
        Ok(BlobPutReply { hash })
    }

    async fn blob_get(self: Arc<Self>, call: Call, params: BlobGetParams) -> Result<BlobGetReply, Fault> {
        let blob = self.lock().entry(call.caller().into()).or_default().blobs.get(&params.hash)?;
        for part in blobs::parts(&blob) {
            call.emit(&part).await?;
        }
        Ok(BlobGetReply { bytes: blob.len() as u64 })
    }

    async fn blob_delete(
        self: Arc<Self>,
        call: Call,
        params: BlobDeleteParams,
    ) -> Result<BlobDeleteReply, Fault> {
        let deleted = self.lock().entry(call.caller().into()).or_default().blobs.delete(&params.hash);
        Ok(BlobDeleteReply { deleted })
    }

    async fn delete_range(
        self: Arc<Self>,
        call: Call,
        params: DeleteRangeParams,
    ) -> Result<DeleteRangeReply, Fault> {
        let params = params.bounded()?;
        let lost = self.faults.before_commit(&call).await?;
        let (n_deleted, more) =
            self.lock().entry(call.caller().into()).or_default().entries.delete_range(&params)?;
        self.watches.changed(call.caller());
        lost.map_or(Ok(DeleteRangeReply { n_deleted, more, durable: self.config.durable }), Err)
    }

    async fn watch(self: Arc<Self>, call: Call, _params: Empty) -> Result<Empty, Fault> {
        self.watches.begin(call.caller())?.run(&call).await
    }

    async fn info(self: Arc<Self>, _call: Call, _params: Empty) -> Result<InfoReply, Fault> {
        Ok(InfoReply { durable: self.config.durable, engine: "memory".to_owned() })
    }

    async fn set_faults(self: Arc<Self>, _call: Call, params: SetFaultsParams) -> Result<Empty, Fault> {
        self.faults.set(params);
        Ok(Empty {})
    }

    async fn wait_held(self: Arc<Self>, _call: Call, params: WaitHeldParams) -> Result<Empty, Fault> {
        self.faults.held(params.n).await;
        Ok(Empty {})
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
