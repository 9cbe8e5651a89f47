//! One transaction: what a group of works is on the disk. It must not know who waits for it.

use crate::blobs::{self, Part, Whole};
use crate::entries;
use crate::trouble::{Trouble, is_full};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::storage::{CommitParams, DeleteRangeParams};
use rusqlite::Connection;

/// A transaction takes no further work from this size on.
pub(super) const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is written as a whole or not at all.
#[derive(Debug)]
pub(crate) enum Work {
    Commit { namespace: String, params: CommitParams },
    DeleteRange { namespace: String, params: DeleteRangeParams },
    Part { part: Part, whole: Option<Whole> },
    BlobDelete { namespace: String, hash: String },
}

/// What a work did; what does not belong to it is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Of the puts of a commit, in their order.
    pub(crate) versions: Vec<u64>,
    /// Entries or blobs.
    pub(crate) n_deleted: u64,
    /// A range goes on behind what was deleted.
    pub(crate) more: bool,
}

pub(crate) type Outcome = Result<Written, Fault>;

impl Work {
    pub(super) fn n_bytes(&self) -> usize {
        match self {
            Self::Commit { params, .. } => params.n_bytes(),
            Self::DeleteRange { params, .. } => params.start.len() + params.end.len(),
            Self::Part { part, .. } => part.sent.bytes.len(),
            Self::BlobDelete { hash, .. } => hash.len(),
        }
    }

    /// Whose entries it changes.
    pub(super) fn changes(&self) -> Option<&str> {
        match self {
            Self::Commit { namespace, .. } | Self::DeleteRange { namespace, .. } => Some(namespace),
            Self::Part { .. } | Self::BlobDelete { .. } => None,
        }
    }
}

/// Why a whole transaction failed.
pub(super) struct Lost {
    pub(super) error: rusqlite::Error,
    /// Whether one work may be to blame: then each is tried by itself.
    pub(super) one_to_blame: bool,
}

/// Commits `works` in one transaction, or leaves no trace of them.
pub(super) fn transact<'a>(
    connection: &Connection,
    works: impl Iterator<Item = &'a Work>,
) -> Result<Vec<Outcome>, Lost> {
    let written = attempt(connection, works);
    if written.is_err() && !connection.is_autocommit() {
        // An error here means that SQLite has rolled back already; the next BEGIN would tell otherwise.
        let _ = connection.execute_batch("ROLLBACK");
    }
    written
}

fn attempt<'a>(connection: &Connection, works: impl Iterator<Item = &'a Work>) -> Result<Vec<Outcome>, Lost> {
    let all = |error| Lost { error, one_to_blame: false };
    let one = |error| Lost { error, one_to_blame: true };
    run(connection, "BEGIN IMMEDIATE").map_err(all)?;
    let before = entries::counter(connection).map_err(all)?;
    let mut counter = before;
    let mut outcomes = Vec::new();
    for work in works {
        outcomes.push(apply(connection, work, &mut counter).map_err(one)?);
    }
    if counter != before {
        entries::set_counter(connection, counter).map_err(one)?;
    }
    match run(connection, "COMMIT") {
        Ok(()) => Ok(outcomes),
        Err(error) => Err(Lost { one_to_blame: is_full(&error), error }),
    }
}

/// Applies one work as a savepoint: it is in the transaction, or nothing of it is.
fn apply(connection: &Connection, work: &Work, counter: &mut u64) -> rusqlite::Result<Outcome> {
    run(connection, "SAVEPOINT work")?;
    let applied = match work {
        Work::Commit { namespace, params } => entries::commit(connection, namespace, params, counter)
            .map(|versions| Written { versions, ..Written::default() }),
        Work::DeleteRange { namespace, params } => entries::delete_range(connection, namespace, params)
            .map(|(n_deleted, more)| Written { n_deleted, more, ..Written::default() }),
        Work::Part { part, whole } => {
            blobs::put(connection, part, whole.as_ref()).map(|()| Written::default())
        }
        Work::BlobDelete { namespace, hash } => blobs::delete(connection, namespace, hash)
            .map(|deleted| Written { n_deleted: deleted.into(), ..Written::default() })
            .map_err(Trouble::from),
    };
    match applied {
        Ok(written) => {
            run(connection, "RELEASE work")?;
            Ok(Ok(written))
        }
        Err(Trouble::Refused(fault)) => {
            run(connection, "ROLLBACK TO work")?;
            run(connection, "RELEASE work")?;
            Ok(Err(fault))
        }
        Err(Trouble::Sqlite(error)) => Err(error),
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(|_| ())
}
