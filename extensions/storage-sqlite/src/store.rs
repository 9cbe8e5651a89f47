//! The open store: one writer and a few readers on one file.

use crate::backup::{self, Existing};
use crate::blobs::{self, Cursor, Part};
use crate::connection::Company;
use crate::entries;
use crate::file;
use crate::readers::{Readers, blocking};
use crate::restore;
use crate::settings::Settings;
use crate::trouble::{Trouble, corrupt, no_space};
use crate::writer::{Work, Writer, Written};
use dispatch_sdk::contracts::kernel::ReportParams;
use dispatch_sdk::contracts::storage::{CommitParams, DeleteRangeParams, Entry, ScanParams, ScanReply};
use dispatch_sdk::{Fault, Watch, Watches, fault};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch::Receiver;
use tracing::info;

pub(crate) struct Store {
    path: PathBuf,
    readers: Readers,
    writer: Arc<Writer>,
    watches: Arc<Watches>,
}

impl Store {
    /// Opens the file, makes it if it is missing, and starts the writer.
    pub(crate) async fn open(settings: Settings) -> Result<Self, Fault> {
        let path = settings.path.clone();
        let durable = settings.durable();
        let opened = path.clone();
        let watches = Arc::<Watches>::default();
        let ticked = Arc::clone(&watches);
        let open = move || {
            let (connection, company) = file::open(&settings)?;
            Writer::start(opened, connection, company, ticked)
        };
        let writer = blocking(open).await?;
        info!(path = %path.display(), durable, sqlite = rusqlite::version(), "the store is open");
        Ok(Self {
            readers: Readers::new(path.clone(), writer.names(), writer.lost()),
            writer: Arc::new(writer),
            watches,
            path,
        })
    }

    /// Ends the reads, writes what has queued, and closes the file; a second time does nothing.
    pub(crate) async fn close(&self) -> Result<(), Fault> {
        self.readers.close().await;
        let writer = Arc::clone(&self.writer);
        blocking(move || {
            writer.close();
            Ok(())
        })
        .await
    }

    /// How it stands; the first value is what it began with.
    pub(crate) fn health(&self) -> Receiver<ReportParams> {
        self.writer.health()
    }

    /// Errors: `no_space` it was opened on a full disk, and keeps every other process out.
    pub(crate) fn refuse_if_alone(&self) -> Result<(), Fault> {
        match self.writer.names().company() {
            Company::Others => Ok(()),
            Company::Nobody => Err(no_space(&self.path)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Transactions written since it was opened.
    pub(crate) fn n_transactions(&self) -> u64 {
        self.writer.n_transactions()
    }

    /// Asks the file something, beside all callers' keys.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.readers.read(move |connection| Ok(look(connection)?)).await
    }

    /// Copies the store to `target` while it is used; the bytes of the copy.
    pub(crate) async fn backup(&self, target: PathBuf, replace: bool) -> Result<u64, Fault> {
        let store = self.path.clone();
        let existing = if replace { Existing::GivesWay } else { Existing::Stays };
        let made =
            move |source: &_| backup::create(&store, source, &target, existing).map_err(Trouble::Refused);
        self.readers.read(made).await
    }

    /// Puts the backup `from` in the store's place and closes it for good; where the store before lies now.
    pub(crate) async fn restore(&self, from: PathBuf) -> Result<PathBuf, Fault> {
        let store = self.path.clone();
        // What is wrong with the backup is said while everything still runs.
        let (copy, store) = blocking(move || Ok((backup::of_backup(&from, &store)?, store))).await?;
        self.close().await?;
        blocking(move || restore::put(&store, copy)).await
    }

    pub(crate) async fn get(&self, namespace: &str, key: String) -> Result<Option<Entry>, Fault> {
        let namespace = namespace.to_owned();
        self.readers.read(move |connection| Ok(entries::get(connection, &namespace, &key)?)).await
    }

    pub(crate) async fn scan(&self, namespace: &str, params: ScanParams) -> Result<ScanReply, Fault> {
        let namespace = namespace.to_owned();
        self.readers.read(move |connection| Ok(entries::scan(connection, &namespace, &params)?)).await
    }

    /// Answers the versions of the puts, in their order.
    pub(crate) async fn commit(&self, namespace: &str, params: CommitParams) -> Result<Vec<u64>, Fault> {
        let namespace = namespace.to_owned();
        Ok(self.writer.write(Work::Commit { namespace, params }).await?.versions)
    }

    /// Deletes the first entries of a range.
    pub(crate) async fn delete_range(
        &self,
        namespace: &str,
        params: DeleteRangeParams,
    ) -> Result<Written, Fault> {
        self.writer.write(Work::DeleteRange { namespace: namespace.to_owned(), params }).await
    }

    /// Says whether `namespace` had the blob.
    pub(crate) async fn blob_delete(&self, namespace: &str, hash: String) -> Result<bool, Fault> {
        let namespace = namespace.to_owned();
        Ok(self.writer.write(Work::BlobDelete { namespace, hash }).await?.n_deleted > 0)
    }

    /// A watch that stands: what this or another process commits from now on ticks.
    pub(crate) async fn watch(&self, namespace: &str) -> Result<Watch, Fault> {
        let watch = self.watches.begin(namespace)?;
        self.writer.look().await?;
        Ok(watch)
    }

    /// Takes one part of an upload; answers the hash of the whole after the last one.
    pub(crate) async fn blob_put(&self, part: Part) -> Result<Option<String>, Fault> {
        if !part.sent.last {
            self.writer.write(Work::Part { part, whole: None }).await?;
            return Ok(None);
        }
        let hashed = move |connection: &_| Ok((blobs::hash(connection, &part)?, part));
        let (whole, part) = self.readers.read(hashed).await?;
        let hash = whole.hash.clone();
        self.writer.write(Work::Part { part, whole: Some(whole) }).await?;
        Ok(Some(hash))
    }

    /// Finds a blob that `namespace` has brought.
    pub(crate) async fn blob(&self, namespace: &str, hash: String) -> Result<Cursor, Fault> {
        let namespace = namespace.to_owned();
        let missing = Fault::new(fault::NOT_FOUND, format!("no blob `{hash}`"));
        let found = move |connection: &_| Ok(blobs::find(connection, &namespace, &hash)?);
        self.readers.read(found).await?.ok_or(missing)
    }

    /// The next part of a blob; the end is answered only if all parts together are what its hash names.
    pub(crate) async fn blob_part(&self, cursor: &mut Cursor) -> Result<Option<Vec<u8>>, Fault> {
        let mut moved = cursor.clone();
        let next = move |connection: &_| {
            let bytes = blobs::next_part(connection, &mut moved)?;
            let is_broken = bytes.is_none() && !moved.is_sound();
            let is_deleted = is_broken && !blobs::is_kept(connection, moved.blob_id)?;
            Ok((bytes, moved, is_broken, is_deleted))
        };
        let (bytes, moved, is_broken, is_deleted) = self.readers.read(next).await?;
        *cursor = moved;
        let hash = &cursor.hash;
        if is_deleted {
            let message = format!("the blob `{hash}` was deleted while it was read");
            return Err(Fault::new(fault::NOT_FOUND, message));
        }
        if is_broken {
            return Err(corrupt(&self.path, &format!("the blob `{hash}` is not what its hash names")));
        }
        Ok(bytes)
    }
}
