//! Keeps all state in one SQLite file: `storage.v1` over WAL, one writer with group commit, a few readers.
//!
//! It must not know what its callers keep in it. Several processes may open the same file: nothing about its content
//! is remembered between two calls, and the preconditions of a commit are checked under SQLite's own write lock.

#![forbid(unsafe_code)]

mod backup;
mod blobs;
mod checking;
mod checkpoint;
mod connection;
mod entries;
mod file;
mod health;
mod names;
mod readers;
mod restore;
mod schema;
mod settings;
mod staging;
mod store;
mod trouble;
mod writer;

#[cfg(test)]
mod tests;

use blobs::Part;
use dispatch_sdk::contracts::storage::{
    self, BlobDeleteReply, CommitReply, DeleteRangeReply, GetReply, InfoReply, ScanReply,
};
use dispatch_sdk::contracts::{Empty, Mode, instance};
use dispatch_sdk::{
    Call, Config, Contributions, Extension, Fault, Host, UploadPart, Verbs, blob_frame, fault,
};
use readers::blocking;
use settings::Settings;
use std::sync::{Arc, OnceLock};
use store::Store;
use tracing::info;
use trouble::is_damage;

dispatch_sdk::export!(StorageSqlite, settings);

struct StorageSqlite {
    host: Host,
    settings: Settings,
    /// The open store, or in which way it is damaged: then a backup can be put in its place, and nothing else be done.
    store: OnceLock<Result<Store, Fault>>,
    /// Set once a backup has taken the store's place.
    restored: OnceLock<Fault>,
}

impl Extension for StorageSqlite {
    // Opening waits for the disk, and perhaps for another process.
    const START: Mode = Mode::Spawned;

    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self {
            host,
            settings: Settings::read(&config)?,
            store: OnceLock::new(),
            restored: OnceLock::new(),
        })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(storage::Get, Self::get);
        verbs.on(storage::Scan, Self::scan);
        // It hands the commit to the writer's thread and waits: nothing of it needs a thread in between.
        verbs.on_inline(storage::Commit, Self::commit);
        verbs.on(storage::BlobPut, Self::blob_put);
        verbs.on(storage::BlobGet, Self::blob_get);
        verbs.on(storage::BlobDelete, Self::blob_delete);
        verbs.on(storage::DeleteRange, Self::delete_range);
        verbs.on(storage::Watch, Self::watch);
        verbs.on(storage::Info, Self::info);
        verbs.on(instance::Serve, Self::serve);
        verbs.on(instance::Check, Self::check);
        verbs.on(instance::Metrics, Self::metrics);
        verbs.on(instance::Backup, Self::backup);
        verbs.on(instance::Restore, Self::restore);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let store = match Store::open(self.settings.clone()).await {
            Err(damage) if is_damage(&damage) => {
                info!(path = %self.settings.path.display(), %damage, "the store is damaged; nothing of it is served");
                Err(damage)
            }
            opened => Ok(opened?),
        };
        if let Ok(store) = &store {
            tokio::spawn(health::tell(self.host.clone(), store.health()));
        }
        if self.store.set(store).is_err() {
            return Err(Fault::new(fault::BROKEN, "the store was started twice"));
        }
        Ok(Contributions::default())
    }

    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        match self.store.get() {
            Some(Ok(store)) => store.close().await,
            Some(Err(_)) | None => Ok(()),
        }
    }
}

impl StorageSqlite {
    /// Errors: `corrupt` it is damaged; `unavailable` a backup has taken its place.
    fn store(&self) -> Result<&Store, Fault> {
        self.opened()?.as_ref().map_err(Clone::clone)
    }

    /// How opening it ended.
    fn opened(&self) -> Result<&Result<Store, Fault>, Fault> {
        if let Some(restored) = self.restored.get() {
            return Err(restored.clone());
        }
        self.store.get().ok_or_else(|| Fault::new(fault::UNAVAILABLE, "the store has not been started"))
    }

    async fn get(self: Arc<Self>, call: Call, params: storage::GetParams) -> Result<GetReply, Fault> {
        params.check()?;
        Ok(GetReply { entry: self.store()?.get(call.caller(), params.key).await? })
    }

    async fn scan(self: Arc<Self>, call: Call, params: storage::ScanParams) -> Result<ScanReply, Fault> {
        let params = params.bounded()?;
        self.store()?.scan(call.caller(), params).await
    }

    async fn commit(
        self: Arc<Self>,
        call: Call,
        params: storage::CommitParams,
    ) -> Result<CommitReply, Fault> {
        params.check()?;
        let versions = self.store()?.commit(call.caller(), params).await?;
        Ok(CommitReply { versions, durable: self.settings.durable() })
    }

    async fn blob_put(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobPutParams,
    ) -> Result<storage::BlobPutReply, Fault> {
        let (namespace, now_ms) = (call.caller().to_owned(), self.host.now_ms());
        let part = Part { namespace, sent: UploadPart::read(params)?, now_ms };
        Ok(storage::BlobPutReply { hash: self.store()?.blob_put(part).await? })
    }

    async fn blob_get(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobGetParams,
    ) -> Result<storage::BlobGetReply, Fault> {
        let store = self.store()?;
        let mut blob = store.blob(call.caller(), params.hash).await?;
        while let Some(bytes) = store.blob_part(&mut blob).await? {
            call.emit(&blob_frame(&bytes)).await?;
        }
        Ok(storage::BlobGetReply { bytes: blob.bytes })
    }

    async fn blob_delete(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobDeleteParams,
    ) -> Result<BlobDeleteReply, Fault> {
        Ok(BlobDeleteReply { deleted: self.store()?.blob_delete(call.caller(), params.hash).await? })
    }

    async fn delete_range(
        self: Arc<Self>,
        call: Call,
        params: storage::DeleteRangeParams,
    ) -> Result<DeleteRangeReply, Fault> {
        let written = self.store()?.delete_range(call.caller(), params.bounded()?).await?;
        let durable = self.settings.durable();
        Ok(DeleteRangeReply { n_deleted: written.n_deleted, more: written.more, durable })
    }

    async fn watch(self: Arc<Self>, call: Call, _params: Empty) -> Result<Empty, Fault> {
        let watch = self.store()?.watch(call.caller()).await?;
        watch.run(&call).await
    }

    /// A host that serves needs room, and lets others at the store.
    async fn serve(
        self: Arc<Self>,
        _call: Call,
        _params: instance::ServeParams,
    ) -> Result<instance::ServeReply, Fault> {
        self.store()?.refuse_if_alone()?;
        Ok(instance::ServeReply::default())
    }

    async fn backup(
        self: Arc<Self>,
        _call: Call,
        params: instance::BackupParams,
    ) -> Result<instance::BackupReply, Fault> {
        let bytes = self.store()?.backup(instance::absolute(&params.path)?, params.replace).await?;
        Ok(instance::BackupReply { bytes })
    }

    async fn restore(
        self: Arc<Self>,
        _call: Call,
        params: instance::RestoreParams,
    ) -> Result<instance::RestoreReply, Fault> {
        let from = instance::absolute(&params.path)?;
        let path = self.settings.path.clone();
        let kept = match self.opened()? {
            Ok(store) => store.restore(from).await?,
            Err(_damaged) => blocking(move || restore::put(&path, backup::of_backup(&from, &path)?)).await?,
        };
        self.restored.get_or_init(|| restore::done(&self.settings.path));
        Ok(instance::RestoreReply { kept: kept.display().to_string() })
    }

    async fn info(self: Arc<Self>, _call: Call, _params: Empty) -> Result<InfoReply, Fault> {
        self.store()?;
        Ok(InfoReply { durable: self.settings.durable(), engine: "sqlite".to_owned() })
    }
}
