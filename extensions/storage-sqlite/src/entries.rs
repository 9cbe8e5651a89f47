//! Keys and values in SQL. Keys compare as their bytes do: SQLite compares UTF-8 text with `memcmp`.

use crate::trouble::Trouble;
use dispatch_sdk::contracts::storage::{CommitParams, Entry, Require, SCAN_BYTES_MAX, ScanParams, ScanReply};
use dispatch_sdk::{Fault, fault};
use rusqlite::types::{FromSqlError, Type, Value};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::json;
use serde_json::value::RawValue;

// A blob compares greater than any text, so `x''` as the end means no end.
const SCAN_ASCENDING: &str = "SELECT key, value, version FROM entry
    WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4";
const SCAN_DESCENDING: &str = "SELECT key, value, version FROM entry
    WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key DESC LIMIT ?4";

pub(crate) fn get(connection: &Connection, namespace: &str, key: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT key, value, version FROM entry WHERE namespace = ?1 AND key = ?2")?
        .query_row((namespace, key), entry)
        .optional()
}

/// One page; `params.limit` is at least 1.
pub(crate) fn scan(
    connection: &Connection,
    namespace: &str,
    params: &ScanParams,
) -> rusqlite::Result<ScanReply> {
    let sql = if params.reverse { SCAN_DESCENDING } else { SCAN_ASCENDING };
    let end = match params.end.as_str() {
        "" => Value::Blob(Vec::new()),
        end => Value::Text(end.to_owned()),
    };
    let mut statement = connection.prepare_cached(sql)?;
    // One row more than asked for tells whether there are more.
    let mut rows = statement.query((namespace, &params.start, end, params.limit as i64 + 1))?;
    let mut reply = ScanReply { entries: Vec::new(), more: false };
    let mut n_bytes = 0;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        n_bytes += entry.value.get().len();
        if reply.entries.len() == params.limit || n_bytes > SCAN_BYTES_MAX {
            reply.more = true;
            break;
        }
        reply.entries.push(entry);
    }
    Ok(reply)
}

/// Applies one commit inside the open transaction and answers the versions of its puts, taken from `counter` on.
///
/// A key that is both deleted and put is put.
pub(crate) fn commit(
    connection: &Connection,
    namespace: &str,
    params: &CommitParams,
    counter: &mut u64,
) -> Result<Vec<u64>, Trouble> {
    for require in &params.require {
        check(connection, namespace, require)?;
    }
    for key in &params.delete {
        connection
            .prepare_cached("DELETE FROM entry WHERE namespace = ?1 AND key = ?2")?
            .execute((namespace, key))?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO entry (namespace, key, version, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (namespace, key) DO UPDATE SET version = excluded.version, value = excluded.value",
    )?;
    let mut versions = Vec::with_capacity(params.put.len());
    for entry in &params.put {
        *counter += 1;
        put.execute((namespace, &entry.key, to_sql(*counter), entry.value.get()))?;
        versions.push(*counter);
    }
    Ok(versions)
}

/// The last version that was given out, by any process.
pub(crate) fn counter(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT version FROM counter WHERE id = 1")?
        .query_row((), |row| row.get::<_, i64>(0).map(from_sql))
}

pub(crate) fn set_counter(connection: &Connection, version: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE counter SET version = ?1 WHERE id = 1")?
        .execute([to_sql(version)])
        .map(|_| ())
}

fn check(connection: &Connection, namespace: &str, require: &Require) -> Result<(), Trouble> {
    let found = connection
        .prepare_cached("SELECT version FROM entry WHERE namespace = ?1 AND key = ?2")?
        .query_row((namespace, &require.key), |row| row.get::<_, i64>(0).map(from_sql))
        .optional()?;
    if found == require.version {
        return Ok(());
    }
    let shown = |version: Option<u64>| version.map_or("absent".to_owned(), |version| format!("at {version}"));
    let message = format!(
        "cannot commit: `{}` must be {} and is {}; read it again and retry",
        require.key,
        shown(require.version),
        shown(found)
    );
    Err(Trouble::Refused(Fault::new(fault::CONFLICT, message).with_detail(json!({ "key": require.key }))))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let value: String = row.get(1)?;
    let value = RawValue::from_string(value).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(1, Type::Text, FromSqlError::Other(Box::new(e)).into())
    })?;
    Ok(Entry { key: row.get(0)?, value, version: from_sql(row.get(2)?) })
}

// SQLite's integers are signed; a counter that starts at 0 stays far below the sign.
fn to_sql(version: u64) -> i64 {
    version.cast_signed()
}

fn from_sql(version: i64) -> u64 {
    version.cast_unsigned()
}
