//! When the write-ahead log is carried over into the file.
//!
//! SQLite's own way (inside the commit that passes 1,000 pages) would make that commit's caller wait for two more
//! flushes. Here the writer does it between two groups, after the replies are out: with an empty queue from
//! [`IDLE_PAGES`] on, under load from [`LOAD_PAGES`] on. That is two flushes in some hundred commits. Readers hold the
//! log for one query at most; if it could not be begun anew for [`WAL_PAGES_MAX`] pages, the writer waits for them.

use crate::connection::{reset_busy_wait, set_busy_wait};
use rusqlite::Connection;
use std::time::Duration;

/// Pages not carried over from which on an idle writer does it (4 MiB).
const IDLE_PAGES: i64 = 1000;
/// Pages not carried over from which on a busy writer does it too (16 MiB).
const LOAD_PAGES: i64 = 4 * IDLE_PAGES;
/// Pages in the log from which on the writer waits for readers, so that the log can begin anew (64 MiB).
const WAL_PAGES_MAX: i64 = 16 * IDLE_PAGES;
/// A log that has begun anew is cut to this size.
pub(crate) const WAL_BYTES_KEPT: i64 = LOAD_PAGES * 4096;
const READERS_WAIT_MAX: Duration = Duration::from_millis(100);

/// Decides it for one writer.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// Length of the log at the last attempt; a log that readers hold is tried again only when it has grown.
    tried_at: i64,
}

impl Checkpoints {
    /// Carries the log over if it is time; `idle` says that nothing waits for the writer.
    pub(crate) fn run(&mut self, connection: &mut Connection, idle: bool) -> rusqlite::Result<()> {
        let (log, carried) = wal(connection, "NOOP")?;
        if log < self.tried_at {
            self.tried_at = 0;
        }
        let due = if idle { IDLE_PAGES } else { LOAD_PAGES };
        if log - carried < due || log - self.tried_at < IDLE_PAGES {
            return Ok(());
        }
        self.tried_at = log;
        if log < WAL_PAGES_MAX {
            return wal(connection, "PASSIVE").map(|_| ());
        }
        waiting(connection, "RESTART")
    }
}

/// Carries over what it can and cuts the log to nothing: on a full disk that is room for the next commit.
pub(crate) fn make_room(connection: &mut Connection) -> rusqlite::Result<()> {
    waiting(connection, "TRUNCATE")
}

/// Carries over what it can, before the connection closes.
pub(crate) fn last(connection: &Connection) -> rusqlite::Result<()> {
    wal(connection, "PASSIVE").map(|_| ())
}

/// Waits a little for readers too.
fn waiting(connection: &mut Connection, mode: &str) -> rusqlite::Result<()> {
    set_busy_wait(connection, READERS_WAIT_MAX)?;
    let done = wal(connection, mode);
    reset_busy_wait(connection)?;
    done.map(|_| ())
}

/// Pages in the log, and pages of it that are in the file too.
fn wal(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row((), |row| Ok((row.get(1)?, row.get(2)?)))
}

#[cfg(test)]
mod tests;
