//! Puts a backup in the store's place, and keeps what was there aside.
//!
//! It must not run while anybody has the store open: SQLite's own exclusive lock says whether somebody does.

use crate::backup::{Copy, Existing};
use crate::file;
use crate::names::beside;
use crate::trouble::{fault_of, is_busy, vanished};
use dispatch_sdk::{Fault, fault};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the others may take to let go.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most files kept aside under one name.
const ASIDE_MAX: usize = 99;

/// Names `copy` as the store at `store`; answers where the one before lies now. Nobody in this process has it open.
///
/// Errors: `unavailable` (detail `{reason: "busy"}`) another process has the store open, and nothing was changed.
pub(crate) fn put(store: &Path, copy: Copy) -> Result<PathBuf, Fault> {
    let alone = lock(store)?;
    let aside = set_aside(store, "before-restore", |aside| std::fs::hard_link(store, aside))?;
    // The one name that is always there: it leads to the old file or to the new one.
    copy.keep(Existing::GivesWay)?;
    // Whoever waits for the lock finds that its file has lost its name.
    drop(alone);
    Ok(aside)
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
    let mut connection = file::connect(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let locked = file::set_busy_wait(&mut connection, OTHERS_WAIT_MAX)
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
        Err(error) if is_busy(&error) => {
            let message = format!(
                "another process has the store `{}` open; end it (`dispatch serve`, `dispatch run`, a `sqlite3`) and \
                 try again: nothing was changed",
                store.display()
            );
            Err(Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "busy" })))
        }
        Err(error) => Err(fault_of(store, &error)),
    }
}
