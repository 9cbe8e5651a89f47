//! The disk's floor: a bare loop of SQLite commits, as durable as the host's own.
//!
//! It must not know how the host keeps anything.

use crate::Trouble;
use crate::timing::us;
use house::bench::Samples;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::Instant;

/// Bytes of a row: about a block of text with its envelope.
const ROW_BYTES: usize = 300;
const COMMITS: usize = 2_000;

/// Commits one row at a time with a full sync each, in `dir`; answers the time of each, in µs.
pub(crate) fn commits(dir: &Path) -> Result<Samples, Trouble> {
    let trouble = |e: rusqlite::Error| format!("cannot commit to a bare SQLite file: {e}");
    let file = Connection::open(dir.join("floor.db")).map_err(trouble)?;
    file.pragma_update(None, "journal_mode", "WAL").map_err(trouble)?;
    file.pragma_update(None, "synchronous", "FULL").map_err(trouble)?;
    file.execute_batch("CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        .map_err(trouble)?;
    let value = "x".repeat(ROW_BYTES);
    let mut insert = file.prepare("INSERT INTO rows VALUES (?1, ?2)").map_err(trouble)?;
    let mut samples = Vec::with_capacity(COMMITS);
    for n in 0..COMMITS {
        let began = Instant::now();
        insert.execute(params![format!("row-{n:06}"), value]).map_err(trouble)?;
        samples.push(us(began.elapsed()));
    }
    Ok(Samples::new(samples))
}
