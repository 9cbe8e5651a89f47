//! A few connections that only read, opened when they are first needed, used on the blocking threads.

use crate::connection::open_reader;
use crate::entries;
use crate::names::Names;
use crate::trouble::{Trouble, fault_of};
use dispatch_sdk::{Fault, fault};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Semaphore;

/// Most reads at once. How many may wait is the manifest's `calls_in_flight_max`.
pub(crate) const READERS_MAX: u32 = 4;

pub(crate) struct Readers {
    path: PathBuf,
    /// Which files the writer has open.
    names: Arc<Names>,
    /// Why nothing can be read any more.
    lost: Arc<OnceLock<Fault>>,
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, names: Arc<Names>, lost: Arc<OnceLock<Fault>>) -> Self {
        Self { path, names, lost, idle: Arc::default(), free: Arc::new(Semaphore::new(READERS_MAX as usize)) }
    }

    /// Runs `read` on a connection that nobody else uses meanwhile.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    {
        if let Some(fault) = self.lost.get() {
            return Err(fault.clone());
        }
        let stopped = |_| Fault::new(fault::UNAVAILABLE, "the store has been stopped");
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(stopped)?;
        let (path, names, idle) = (self.path.clone(), Arc::clone(&self.names), Arc::clone(&self.idle));
        blocking(move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open_reader_of(&path, &names)?,
            };
            let result = read(&connection).map_err(|trouble| trouble.into_fault(&path));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            result
        })
        .await
    }

    /// Waits for the reads that run, refuses further ones and closes the connections.
    pub(crate) async fn close(&self) {
        // An error means that it has been closed before.
        let _all = self.free.acquire_many(READERS_MAX).await;
        self.free.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs `work`, which waits for the disk, where that holds up nobody.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Fault> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Fault::new(fault::CANCELLED, "the instance's runtime has ended")),
    }
}

/// A connection to the very files that are known as `names`. Errors: `corrupt` others have these names now.
fn open_reader_of(path: &Path, names: &Names) -> Result<Connection, Fault> {
    let connection = open_reader(path, names.company())?;
    // Only a connection that has read has its log open.
    entries::counter(&connection).map_err(|error| fault_of(path, &error))?;
    names.check()?;
    Ok(connection)
}
