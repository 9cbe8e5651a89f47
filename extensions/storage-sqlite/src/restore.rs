//! Puts a backup in the store's place, and keeps what was there aside.
//!
//! It must not run while anybody has the store open: SQLite's own exclusive lock says whether somebody does. SQLite gives
//! none on a file that it cannot read; the kernel's, over all bytes that SQLite locks, then says the same.

use crate::backup::{Copy, Existing, sync_dir_of};
use crate::connection;
use crate::names::{beside, identity};
use crate::trouble::{fault_of, is_busy, is_damage, vanished};
use dispatch_sdk::{Fault, fault};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use serde_json::json;
use std::fs::{File, hard_link, rename};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the others may take to let go.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most files kept aside under one name.
const ASIDE_MAX: usize = 99;
/// What SQLite keeps beside a file, and would take for the log of whatever lies there next.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Names `copy` as the store at `store`; answers where the one before lies now. Nobody in this process has it open.
///
/// Errors: `unavailable` (detail `{reason: "busy"}`) another process has the store open, and nothing was changed.
pub(crate) fn put(store: &Path, copy: Copy) -> Result<PathBuf, Fault> {
    let file = identity(store);
    // Whoever waits for the lock finds that its file has lost its name.
    match lock(store) {
        Ok(_alone) => replace(store, copy),
        Err(found) if is_damage(&found) => {
            let _alone = lock_unread(store)?;
            if identity(store) != file {
                return Err(vanished(store, store, "another file lies there"));
            }
            replace(store, copy)
        }
        Err(found) => Err(found),
    }
}

/// What a store answers whose place was taken by a backup.
pub(crate) fn done(store: &Path) -> Fault {
    let message =
        format!("a backup was put in the place of the store `{}`; restart the host", store.display());
    Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "stopped" }))
}

fn replace(store: &Path, copy: Copy) -> Result<PathBuf, Fault> {
    let aside = set_aside(store, "before-restore", |aside| {
        // A log there is of some other file.
        if LOGS.iter().any(|log| beside(aside, log).exists()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        hard_link(store, aside)
    })?;
    let moved = move_logs(store, &aside)
        .and_then(|()| sync_dir_of(store))
        .map_err(|error| Fault::from_io("cannot keep the log aside of", store, &error));
    // The one name that is always there: it leads to the old file or to the new one.
    let put = moved.and_then(|()| copy.keep(Existing::GivesWay));
    if put.is_err() && identity(store) == identity(&aside) {
        move_logs(&aside, store)
            .map_err(|error| Fault::from_io("cannot put the log back of", store, &error))?;
    }
    put.map(|_| aside)
}

/// A log stays with its file, under whatever name. One that was carried over is not there any more.
fn move_logs(from: &Path, to: &Path) -> io::Result<()> {
    LOGS.iter().try_for_each(|log| match rename(beside(from, log), beside(to, log)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    })
}

/// Calls `make` with the first name beside the store that is free: `dispatch.db.<what>`, `dispatch.db.<what>.2`, ….
pub(crate) fn set_aside(
    store: &Path,
    what: &str,
    make: impl Fn(&Path) -> std::io::Result<()>,
) -> Result<PathBuf, Fault> {
    for n in 1..=ASIDE_MAX {
        let ending = if n == 1 { format!(".{what}") } else { format!(".{what}.{n}") };
        let aside = beside(store, &ending);
        match make(&aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Fault::from_io("cannot keep the store aside as", &aside, &error)),
        }
    }
    let message = format!(
        "there are {ASIDE_MAX} files `{}.{what}…` already; delete those that nobody needs",
        store.display()
    );
    Err(Fault::new(fault::CONFLICT, message))
}

/// A connection that alone has the store open; its log is carried over and gone.
fn lock(store: &Path) -> Result<Connection, Fault> {
    let mut connection = connection::connect(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let locked = connection
        // A file that cannot be read is kept with its log, both as they are.
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .and_then(|_| connection::set_busy_wait(&mut connection, OTHERS_WAIT_MAX))
        .and_then(|()| connection.pragma_update(None, "locking_mode", "EXCLUSIVE"))
        // Only who is alone can end the log.
        .and_then(|()| connection.pragma_update(None, "journal_mode", "DELETE"))
        .and_then(|()| connection.execute_batch("BEGIN EXCLUSIVE"));
    match locked {
        Ok(()) if beside(store, "-wal").exists() => {
            // It would be carried over into the backup.
            Err(vanished(store, &beside(store, "-wal"), "a log that is not this file's lies there"))
        }
        Ok(()) => Ok(connection),
        Err(error) if is_busy(&error) => Err(busy(store)),
        Err(error) => Err(fault_of(store, &error)),
    }
}

/// The same for a file that SQLite cannot read. Nobody in this process has it open: closing it here would drop the locks.
fn lock_unread(store: &Path) -> Result<File, Fault> {
    let failed = |error: &io::Error| Fault::from_io("cannot lock the store", store, error);
    let file = File::options().read(true).write(true).open(store).map_err(|error| failed(&error))?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(busy(store)),
        Err(error) => Err(failed(&error.into())),
    }
}

fn busy(store: &Path) -> Fault {
    let message = format!(
        "another process has the store `{}` open; end it (`dispatch serve`, `dispatch run`, a `sqlite3`) and \
         try again: nothing was changed",
        store.display()
    );
    Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "busy" }))
}
