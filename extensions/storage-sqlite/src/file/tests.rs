//! Opening a connection: the library, the wait, the journal.

use super::*;
use crate::trouble::is_busy;

#[test]
fn a_library_that_can_damage_files_is_refused() {
    let fault = refuse_old_library(SQLITE_VERSION_MIN - 1).unwrap_err();
    assert_eq!(fault.code, fault::UNAVAILABLE, "{fault}");
    assert_eq!(refuse_old_library(SQLITE_VERSION_MIN), Ok(()));
    assert_eq!(refuse_old_library(rusqlite::version_number()), Ok(()), "the bundled one");
}

#[test]
fn each_commit_is_flushed_unless_the_build_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    for (synchronous, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
        let settings = Settings { path: dir.path().join("dispatch.db"), synchronous };
        let connection = open(&settings).unwrap().0;
        let found: (i64, String) = (
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap(),
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap(),
        );
        assert_eq!(found, (expected, "wal".to_owned()));
    }
}

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
