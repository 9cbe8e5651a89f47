//! Waiting for a lock, and reading alone.

use super::*;
use crate::file::open;
use crate::settings::{Settings, Synchronous};
use crate::trouble::is_busy;

#[test]
fn a_wait_for_a_lock_ends() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { path: dir.path().join("dispatch.db"), synchronous: Synchronous::Full };
    let holder = open(&settings).unwrap().0;
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = open(&settings).unwrap().0;
    let wait_max = Duration::from_millis(30);
    set_busy_wait(&mut waiting, wait_max).unwrap();
    let since = Instant::now();
    let error = waiting.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert!(is_busy(&error), "{error}");
    assert!(since.elapsed() >= wait_max, "it gave up after {:?}", since.elapsed());
    holder.execute_batch("COMMIT").unwrap();
    waiting.execute_batch("BEGIN IMMEDIATE").unwrap();
}

#[test]
fn a_reader_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { path: dir.path().join("dispatch.db"), synchronous: Synchronous::Full };
    let _writer = open(&settings).unwrap().0;
    let reader = open_reader(&settings.path, Company::Others).unwrap();
    let error = reader.execute("UPDATE counter SET version = 9", ()).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly), "{error}");
}
