//! Blobs in SQL: parts as they came, joined under the sha256 of the whole.
//!
//! A blob is kept once however many callers bring it, and only a caller who brought it may read it. An unfinished
//! upload is a blob without a hash. Everything about an upload is in the file: it outlives a restart.

use crate::trouble::Trouble;
use dispatch_sdk::{Fault, UPLOAD_IDLE_MS_MAX, UPLOADS_MAX, UploadPart, fault, hex, too_many_uploads};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

/// Most idle uploads that one new upload clears away.
const IDLE_DROPPED_MAX: i64 = 8;

/// A part of an upload, and whose it is.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) namespace: String,
    pub(crate) sent: UploadPart,
    pub(crate) now_ms: u64,
}

/// What the last part of an upload completes.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The upload's blob whose parts were hashed; absent when the last part is the only one.
    pub(crate) blob_id: Option<i64>,
    /// Of all parts, hex.
    pub(crate) hash: String,
}

/// An unfinished upload.
struct Upload {
    blob_id: i64,
    bytes: u64,
    touched_at: u64,
}

/// Where a reader of a blob is.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) blob_id: i64,
    pub(crate) hash: String,
    pub(crate) bytes: u64,
    offset: u64,
    hasher: Sha256,
}

impl Cursor {
    fn new(blob_id: i64, hash: String, bytes: u64) -> Self {
        Self { blob_id, hash, bytes, offset: 0, hasher: Sha256::new() }
    }

    /// Takes the part that comes next.
    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    /// Whether all that was passed is what the hash names.
    pub(crate) fn is_sound(&self) -> bool {
        self.offset == self.bytes && hex(&self.hasher.clone().finalize()) == self.hash
    }
}

/// Whether there is any blob, whole or not, whoever brought it.
pub(crate) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM blob)", (), |row| row.get(0))
}

/// Finds a whole blob that `namespace` has brought.
pub(crate) fn find(connection: &Connection, namespace: &str, hash: &str) -> rusqlite::Result<Option<Cursor>> {
    connection
        .prepare_cached(
            "SELECT blob.id, blob.bytes FROM blob JOIN blob_owner USING (hash) WHERE namespace = ?1 AND hash = ?2",
        )?
        .query_row((namespace, hash), |row| {
            Ok(Cursor::new(row.get(0)?, hash.to_owned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .optional()
}

/// The next part, or nothing at the end.
pub(crate) fn next_part(connection: &Connection, cursor: &mut Cursor) -> rusqlite::Result<Option<Vec<u8>>> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM blob_part WHERE blob_id = ?1 AND offset = ?2")?
        .query_row((cursor.blob_id, cursor.offset.cast_signed()), |row| row.get(0))
        .optional()?;
    if let Some(bytes) = &bytes {
        cursor.pass(bytes);
    }
    Ok(bytes)
}

/// Hashes what is there of the upload, and the part that ends it.
pub(crate) fn hash(connection: &Connection, last: &Part) -> Result<Whole, Trouble> {
    if last.sent.offset == 0 {
        return Ok(Whole { blob_id: None, hash: hex(&Sha256::digest(&last.sent.bytes)) });
    }
    let upload = continued(connection, last)?;
    let mut cursor = Cursor::new(upload.blob_id, String::new(), upload.bytes);
    while next_part(connection, &mut cursor)?.is_some() {}
    cursor.pass(&last.sent.bytes);
    Ok(Whole { blob_id: Some(upload.blob_id), hash: hex(&cursor.hasher.finalize()) })
}

/// Writes one part inside the open transaction; `whole` is there if it is the last one.
pub(crate) fn put(connection: &Connection, part: &Part, whole: Option<&Whole>) -> Result<(), Trouble> {
    let upload = begun(connection, part)?;
    if !part.sent.bytes.is_empty() {
        connection
            .prepare_cached("INSERT INTO blob_part (blob_id, offset, bytes) VALUES (?1, ?2, ?3)")?
            .execute((upload.blob_id, part.sent.offset.cast_signed(), &part.sent.bytes))?;
    }
    let bytes = part.sent.offset + part.sent.bytes.len() as u64;
    connection
        .prepare_cached("UPDATE blob SET bytes = ?2 WHERE id = ?1")?
        .execute((upload.blob_id, bytes.cast_signed()))?;
    match whole {
        Some(whole) => finish(connection, part, &upload, whole),
        None => {
            connection
                .prepare_cached("UPDATE upload SET touched_at = ?3 WHERE namespace = ?1 AND upload_id = ?2")?
                .execute((&part.namespace, &part.sent.upload_id, part.now_ms.cast_signed()))?;
            Ok(())
        }
    }
}

/// The upload that `part` goes on with, or a new one.
fn begun(connection: &Connection, part: &Part) -> Result<Upload, Trouble> {
    if part.sent.offset > 0 {
        return continued(connection, part);
    }
    drop_idle(connection, part)?;
    if find_upload(connection, part)?.is_some() {
        return continued(connection, part);
    }
    let n_open: i64 = connection
        .prepare_cached("SELECT count(*) FROM upload WHERE namespace = ?1")?
        .query_row([&part.namespace], |row| row.get(0))?;
    if n_open >= UPLOADS_MAX as i64 {
        return Err(Trouble::Refused(too_many_uploads(&part.namespace)));
    }
    connection.prepare_cached("INSERT INTO blob (bytes) VALUES (0)")?.execute(())?;
    let blob_id = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "INSERT INTO upload (namespace, upload_id, blob_id, touched_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((&part.namespace, &part.sent.upload_id, blob_id, part.now_ms.cast_signed()))?;
    Ok(Upload { blob_id, bytes: 0, touched_at: part.now_ms })
}

/// The open upload that `part` goes on with.
fn continued(connection: &Connection, part: &Part) -> Result<Upload, Trouble> {
    let found = find_upload(connection, part)?
        .filter(|upload| part.now_ms.saturating_sub(upload.touched_at) < UPLOAD_IDLE_MS_MAX);
    let Some(upload) = found else { return Err(Trouble::Refused(part.sent.not_open())) };
    if upload.bytes != part.sent.offset {
        return Err(Trouble::Refused(part.sent.not_next(upload.bytes)));
    }
    Ok(upload)
}

fn find_upload(connection: &Connection, part: &Part) -> rusqlite::Result<Option<Upload>> {
    connection
        .prepare_cached(
            "SELECT blob_id, bytes, touched_at FROM upload JOIN blob ON blob.id = blob_id
             WHERE namespace = ?1 AND upload_id = ?2",
        )?
        .query_row((&part.namespace, &part.sent.upload_id), |row| {
            Ok(Upload {
                blob_id: row.get(0)?,
                bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                touched_at: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })
        .optional()
}

fn finish(connection: &Connection, part: &Part, upload: &Upload, whole: &Whole) -> Result<(), Trouble> {
    if whole.blob_id.is_some_and(|hashed| hashed != upload.blob_id) {
        let message =
            format!("the upload `{}` was begun anew while its last part was hashed", part.sent.upload_id);
        return Err(Trouble::Refused(Fault::new(fault::CONFLICT, message)));
    }
    let known: i64 = connection
        .prepare_cached("SELECT count(*) FROM blob WHERE hash = ?1")?
        .query_row([&whole.hash], |row| row.get(0))?;
    if known > 0 {
        drop_upload(connection, &part.namespace, &part.sent.upload_id, upload.blob_id)?;
    } else {
        connection
            .prepare_cached("UPDATE blob SET hash = ?2 WHERE id = ?1")?
            .execute((upload.blob_id, &whole.hash))?;
        forget_upload(connection, &part.namespace, &part.sent.upload_id)?;
    }
    connection
        .prepare_cached("INSERT OR IGNORE INTO blob_owner (namespace, hash) VALUES (?1, ?2)")?
        .execute((&part.namespace, &whole.hash))?;
    Ok(())
}

/// Ends `namespace`'s hold on a blob inside the open transaction, and drops the bytes if nobody else holds them; says
/// whether it had one.
pub(crate) fn delete(connection: &Connection, namespace: &str, hash: &str) -> rusqlite::Result<bool> {
    let n_held = connection
        .prepare_cached("DELETE FROM blob_owner WHERE namespace = ?1 AND hash = ?2")?
        .execute((namespace, hash))?;
    let n_holders: i64 = connection
        .prepare_cached("SELECT count(*) FROM blob_owner WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))?;
    if n_held == 0 || n_holders > 0 {
        return Ok(n_held > 0);
    }
    let blob_id: i64 = connection
        .prepare_cached("SELECT id FROM blob WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))?;
    drop_blob(connection, blob_id)?;
    Ok(true)
}

/// Whether a blob that was found is still there.
pub(crate) fn is_kept(connection: &Connection, blob_id: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM blob WHERE id = ?1")?.exists([blob_id])
}

/// Drops the upload that `part` begins anew if it was left, and a few others that were.
fn drop_idle(connection: &Connection, part: &Part) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT namespace, upload_id, blob_id FROM upload WHERE touched_at <= ?1
         ORDER BY (namespace, upload_id) = (?2, ?3) DESC LIMIT ?4",
    )?;
    let before = part.now_ms.saturating_sub(UPLOAD_IDLE_MS_MAX).cast_signed();
    let params = (before, &part.namespace, &part.sent.upload_id, IDLE_DROPPED_MAX);
    let idle: Vec<(String, String, i64)> = statement
        .query_map(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (namespace, upload_id, blob_id) in idle {
        drop_upload(connection, &namespace, &upload_id, blob_id)?;
    }
    Ok(())
}

fn drop_upload(
    connection: &Connection,
    namespace: &str,
    upload_id: &str,
    blob_id: i64,
) -> rusqlite::Result<()> {
    forget_upload(connection, namespace, upload_id)?;
    drop_blob(connection, blob_id)
}

fn drop_blob(connection: &Connection, blob_id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM blob_part WHERE blob_id = ?1")?.execute([blob_id])?;
    connection.prepare_cached("DELETE FROM blob WHERE id = ?1")?.execute([blob_id])?;
    Ok(())
}

fn forget_upload(connection: &Connection, namespace: &str, upload_id: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM upload WHERE namespace = ?1 AND upload_id = ?2")?
        .execute((namespace, upload_id))?;
    Ok(())
}
