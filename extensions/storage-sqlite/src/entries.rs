//! Keys and values in SQL. Keys compare as their bytes do: SQLite compares UTF-8 text with `memcmp`.

use crate::trouble::Trouble;
use dispatch_sdk::ScanPage;
use dispatch_sdk::contracts::storage::{
    CommitParams, DELETE_RANGE_BYTES_MAX, DeleteRangeParams, Entry, Require, ScanParams, ScanReply,
};
use rusqlite::types::{FromSqlError, Type, Value};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::value::RawValue;

pub(crate) fn get(connection: &Connection, namespace: &str, key: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT key, value, version FROM entry WHERE namespace = ?1 AND key = ?2")?
        .query_row((namespace, key), entry)
        .optional()
}

/// One page; the bounds of `params` are filled in.
pub(crate) fn scan(
    connection: &Connection,
    namespace: &str,
    params: &ScanParams,
) -> rusqlite::Result<ScanReply> {
    // A value that is not asked for is not read: it is the last column.
    let value = if params.keys_only { "'null'" } else { "value" };
    let direction = if params.reverse { "DESC" } else { "ASC" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT key, {value}, version FROM entry
         WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key {direction} LIMIT ?4"
    ))?;
    // One row more than asked for tells whether there are more.
    let mut rows = statement.query((namespace, &params.start, end(&params.end), one_more(params.limit)))?;
    let mut page = ScanPage::new(params);
    while let Some(row) = rows.next()? {
        if !page.take(entry(row)?) {
            break;
        }
    }
    Ok(page.reply())
}

/// Deletes the first entries of a range inside the open transaction; how many, and whether there are more.
pub(crate) fn delete_range(
    connection: &Connection,
    namespace: &str,
    params: &DeleteRangeParams,
) -> Result<(u64, bool), Trouble> {
    for require in &params.require {
        check(connection, namespace, require)?;
    }
    let (last, more) = last_of_range(connection, namespace, params)?;
    let Some(last) = last else { return Ok((0, more)) };
    let n_deleted = connection
        .prepare_cached("DELETE FROM entry WHERE namespace = ?1 AND key >= ?2 AND key <= ?3")?
        .execute((namespace, &params.start, last))?;
    Ok((n_deleted as u64, more))
}

/// The last key that one deletion takes, and whether the range goes on behind it.
fn last_of_range(
    connection: &Connection,
    namespace: &str,
    params: &DeleteRangeParams,
) -> rusqlite::Result<(Option<String>, bool)> {
    // `octet_length` reads no value.
    let mut statement = connection.prepare_cached(
        "SELECT key, octet_length(value) FROM entry
         WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
    )?;
    let mut rows = statement.query((namespace, &params.start, end(&params.end), one_more(params.limit)))?;
    let (mut last, mut n_keys, mut n_bytes) = (None, 0, 0);
    while let Some(row) = rows.next()? {
        n_bytes += row.get::<_, i64>(1)?;
        if n_keys == params.limit || n_bytes > DELETE_RANGE_BYTES_MAX as i64 {
            return Ok((last, true));
        }
        last = Some(row.get(0)?);
        n_keys += 1;
    }
    Ok((last, false))
}

/// The end of a range. A blob compares greater than any text, so `x''` means no end.
fn end(end: &str) -> Value {
    match end {
        "" => Value::Blob(Vec::new()),
        end => Value::Text(end.to_owned()),
    }
}

fn one_more(limit: usize) -> i64 {
    limit as i64 + 1
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
    require.check(found).map_err(Trouble::Refused)
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
