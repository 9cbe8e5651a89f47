//! Connections to a store's file, whoever opens them for what, and how long they wait for each other.
//!
//! It must not know whether the file is ours, nor what is in it.

use crate::trouble::fault_of;
use dispatch_sdk::Fault;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection waits for another process.
pub(crate) const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
// Another process holds the lock for about the time of one flush, so the first looks come soon.
const BUSY_STEP_FIRST: Duration = Duration::from_micros(200);
pub(crate) const BUSY_STEP: Duration = Duration::from_millis(2);
const BUSY_STEPS_FIRST: i32 = 50;
const STATEMENTS_CACHED: usize = 32;

/// SQLite's way to the file that keeps every other process out, and the log's index in memory.
const ALONE_VFS: &str = "unix-excl";

/// Who else may have the file open. Source: <https://www.sqlite.org/vfs.html>, 2.1; <https://www.sqlite.org/wal.html>, 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// Other processes: the index of the log is a file that all of them have mapped.
    Others,
    /// No other process. It needs no room on the disk before something is written.
    Nobody,
}

/// A connection to a file that others may have open too. Errors: those of SQLite, as [`fault_of`].
pub(crate) fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Fault> {
    connect_in(path, access, Company::Others)
}

/// The same in the company that is known.
pub(crate) fn connect_in(path: &Path, access: OpenFlags, company: Company) -> Result<Connection, Fault> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match company {
        Company::Others => Connection::open_with_flags(path, flags),
        Company::Nobody => Connection::open_with_flags_and_vfs(path, flags, ALONE_VFS),
    };
    let mut connection = opened.map_err(|error| fault_of(path, &error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    let set = reset_busy_wait(&mut connection)
        // Else each scan is planned anew when its bounds are bound.
        .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop))
        // A file may come from anywhere: its schema is data, not code.
        .and_then(|()| connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"));
    set.map_err(|error| fault_of(path, &error))?;
    Ok(connection)
}

/// Opens one more connection to a file that is open for writing, for reading.
pub(crate) fn open_reader(path: &Path, company: Company) -> Result<Connection, Fault> {
    let connection = connect_in(path, OpenFlags::SQLITE_OPEN_READ_WRITE, company)?;
    // The writer is the last one; should this file be another's, its log is none of our business.
    let set = connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .and_then(|_| connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;"));
    set.map_err(|error| fault_of(path, &error))?;
    Ok(connection)
}

/// Sets how long `connection` waits for a lock that another process holds.
pub(crate) fn set_busy_wait(connection: &mut Connection, wait_max: Duration) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |n_waits: i32| {
        if n_waits == 0 {
            since = Instant::now();
        }
        if since.elapsed() >= wait_max {
            return false;
        }
        thread::sleep(if n_waits < BUSY_STEPS_FIRST { BUSY_STEP_FIRST } else { BUSY_STEP });
        true
    }))
}

/// Sets the wait back to what [`connect`] set.
pub(crate) fn reset_busy_wait(connection: &mut Connection) -> rusqlite::Result<()> {
    set_busy_wait(connection, BUSY_WAIT_MAX)
}

#[cfg(test)]
mod tests;
