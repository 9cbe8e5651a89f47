//! Opening a store: the library, the journal.

use super::*;

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
