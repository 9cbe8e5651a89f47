//! The tables of version 2, how version 1 becomes it, how a file says that they are in it, and which files are refused.
//!
//! A value's `version` comes from one counter for the whole file, so it never comes back, not even after a delete.

use crate::trouble::{Trouble, corrupt, fault_of};
use dispatch_sdk::{Fault, fault};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;
use std::path::Path;

/// `DSP1`, in the file's header: this is a store of Dispatch.
pub(crate) const APPLICATION_ID: i64 = 0x4453_5031;
/// What this build reads and writes; in the file's header.
pub(crate) const SCHEMA_VERSION: i64 = 2;
/// The oldest that this build reads and takes to its own.
const SCHEMA_VERSION_MIN: i64 = 1;

// Without rowid the entries lie in the order of their keys, so a scan reads neighbours.
const TABLES: &str = "
    CREATE TABLE entry (
        namespace TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (namespace, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL) STRICT;
    INSERT INTO counter (id, version) VALUES (1, 0);
    CREATE TABLE blob (id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT UNIQUE, bytes INTEGER NOT NULL) STRICT;
    CREATE TABLE blob_part (
        blob_id INTEGER NOT NULL, offset INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (blob_id, offset)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE blob_owner (
        namespace TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (namespace, hash)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blob_owner_by_hash ON blob_owner (hash);
    CREATE TABLE upload (
        namespace TEXT NOT NULL, upload_id TEXT NOT NULL, blob_id INTEGER NOT NULL, touched_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, upload_id)
    ) STRICT, WITHOUT ROWID;
";

/// What version 1 lacks: who else holds a blob was nobody's question then.
const FROM_1: &str = "CREATE INDEX blob_owner_by_hash ON blob_owner (hash);";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing yet.
    Empty,
    /// Our tables, of the version that we write.
    Ours,
    /// Our tables, of a version before.
    Older(i64),
}

/// Looks at what the file holds and writes nothing.
///
/// Errors: `corrupt`; `invalid` a database of another program; `unavailable` a newer version of ours.
pub(crate) fn look(path: &Path, connection: &Connection) -> Result<Found, Fault> {
    let (application_id, version, n_tables) = header(connection).map_err(|error| fault_of(path, &error))?;
    let shown = path.display();
    match (application_id, version, n_tables) {
        (0, 0, 0) => Ok(Found::Empty),
        (APPLICATION_ID, SCHEMA_VERSION_MIN..=SCHEMA_VERSION, _) => {
            probe(connection).map_err(|error| unreadable(path, &error))?;
            Ok(if version == SCHEMA_VERSION { Found::Ours } else { Found::Older(version) })
        }
        (APPLICATION_ID, newer, _) if newer > SCHEMA_VERSION => {
            let message = format!(
                "cannot open the store `{shown}`: it has schema version {newer}, this build knows up to \
                 {SCHEMA_VERSION}; it is left as it is: run a newer dispatch, or choose another `path`"
            );
            let detail = json!({ "reason": "newer_schema", "found": newer, "known": SCHEMA_VERSION });
            Err(Fault::new(fault::UNAVAILABLE, message).with_detail(detail))
        }
        (APPLICATION_ID, version, _) => Err(corrupt(path, &format!("it has the schema version {version}"))),
        _ => {
            let message = format!(
                "cannot open the store `{shown}`: it is the database of another program (application id \
                 {application_id:#x}); choose another `path`"
            );
            Err(Fault::new(fault::INVALID, message))
        }
    }
}

/// Makes the tables in a file that holds nothing, unless another process was faster.
pub(crate) fn create(path: &Path, connection: &mut Connection) -> Result<(), Fault> {
    let sqlite = |error: rusqlite::Error| Trouble::from(error).into_fault(path);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    if look(path, &transaction)? == Found::Empty {
        transaction.execute_batch(TABLES).map_err(sqlite)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}

/// Takes a store of a version before to this one, in one transaction and after a copy of it was made by `copy`, which is
/// called while nobody can write. Another process may have been faster.
pub(crate) fn migrate(
    path: &Path,
    connection: &mut Connection,
    copy: impl FnOnce(i64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let sqlite = |error: rusqlite::Error| Trouble::from(error).into_fault(path);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    if let Found::Older(version) = look(path, &transaction)? {
        copy(version)?;
        transaction.execute_batch(FROM_1).map_err(sqlite)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}

fn header(connection: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let application_id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let n_tables = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok((application_id, version, n_tables))
}

/// Reads a little of each table, so that a file without them, or with a broken root page, is refused at the start.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT version FROM counter WHERE id = 1", (), |row| row.get::<_, i64>(0))?;
    for sql in [
        "SELECT count(*) FROM (SELECT version FROM entry LIMIT 1)",
        "SELECT count(*) FROM (SELECT bytes FROM blob LIMIT 1)",
        "SELECT count(*) FROM (SELECT offset FROM blob_part LIMIT 1)",
        "SELECT count(*) FROM (SELECT hash FROM blob_owner LIMIT 1)",
        "SELECT count(*) FROM (SELECT touched_at FROM upload LIMIT 1)",
    ] {
        connection.query_row(sql, (), |row| row.get::<_, i64>(0))?;
    }
    Ok(())
}

fn unreadable(path: &Path, error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        // SQLITE_ERROR: a table or a column that each version has is not there.
        Some(rusqlite::ErrorCode::Unknown) => corrupt(path, &error.to_string()),
        _ => fault_of(path, error),
    }
}
