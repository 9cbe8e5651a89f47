//! Files that are refused stay as they are, byte for byte.

use super::{commit, keys, open_at, put};
use crate::schema::SCHEMA_VERSION;
use dispatch_sdk::contracts::storage::{CORRUPT, CommitParams};
use dispatch_sdk::fault::{INVALID, UNAVAILABLE};
use rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};

const ROWS: usize = 400;

/// A store with some pages of rows, closed.
async fn filled(dir: &Path) -> PathBuf {
    let path = dir.join("dispatch.db");
    let store = open_at(&path).await.unwrap();
    let value = format!("\"{}\"", "v".repeat(300));
    let rows = (0..ROWS).map(|i| put(&format!("row/{i:04}"), &value)).collect();
    commit(&store, &CommitParams { put: rows, ..CommitParams::default() }).await.unwrap();
    store.stop().await.unwrap();
    path
}

/// Opens `path`, which must be refused and left alone; the fault's code and message.
async fn refused(path: &Path) -> (String, String) {
    let before = std::fs::read(path).unwrap();
    let fault =
        open_at(path).await.err().unwrap_or_else(|| panic!("{} bytes were not refused", before.len()));
    assert!(std::fs::read(path).unwrap() == before, "the file was changed: {fault}");
    assert!(fault.message.contains(&path.display().to_string()), "the path is named: {fault}");
    if fault.is(CORRUPT) {
        assert_eq!(fault.detail, json!({ "path": path }), "{fault}");
        assert!(fault.message.contains("backup"), "what to do is said: {fault}");
    }
    (fault.code, fault.message)
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dispatch.db");
    for text in ["no".to_owned(), "not a database ".repeat(1000), "SQLite format 3\0".repeat(300)] {
        std::fs::write(&path, text).unwrap();
        let (code, message) = refused(&path).await;
        assert_eq!(code, CORRUPT, "{message}");
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let whole = std::fs::read(&path).unwrap();
    for len in [50, 4096, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert_eq!(refused(&path).await.0, CORRUPT, "cut to {len} bytes");
    }
}

#[tokio::test]
async fn a_store_without_its_tables_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    Connection::open(&path).unwrap().execute_batch("DROP TABLE upload").unwrap();
    let (code, message) = refused(&path).await;
    assert_eq!(code, CORRUPT, "{message}");
    assert!(message.contains("upload"), "{message}");
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let newer = SCHEMA_VERSION + 1;
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", newer).unwrap();
    // While the newer program runs, its version may be in the log alone.
    for running in [Some(connection), None] {
        let (code, message) = refused(&path).await;
        assert_eq!(code, UNAVAILABLE, "{}: {message}", running.is_some());
        assert!(message.contains(&format!("schema version {newer}")), "{message}");
        drop(running);
    }
    Connection::open(&path).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION).unwrap();
    assert_eq!(keys(&open_at(&path).await.unwrap()).await.len(), ROWS, "nothing was lost");
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs.db");
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (id)").unwrap();
    assert_eq!(refused(&path).await.0, INVALID, "without an application id");
    theirs.pragma_update(None, "application_id", 7).unwrap();
    assert_eq!(refused(&path).await.0, INVALID, "with another application id");
}

#[tokio::test]
async fn a_directory_in_its_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fault = open_at(dir.path()).await.err().unwrap();
    assert_eq!(fault.code, INVALID, "{fault}");
}

#[tokio::test]
async fn a_log_whose_file_is_gone_is_never_opened_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dispatch.db");
    let store = open_at(&path).await.unwrap();
    commit(&store, &CommitParams { put: vec![put("acked", "1")], ..CommitParams::default() }).await.unwrap();
    // As after a kill: the file has been moved away, and its log holds what was written last.
    let (away, log) = (dir.path().join("away.db"), dir.path().join("dispatch.db-wal"));
    let (file, written) = (std::fs::read(&path).unwrap(), std::fs::read(&log).unwrap());
    store.stop().await.unwrap();
    for placed in [None, Some(&b""[..])] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&away, &file).unwrap();
        std::fs::write(&log, &written).unwrap();
        if let Some(empty) = placed {
            std::fs::write(&path, empty).unwrap();
        }
        let fault = open_at(&path).await.err().expect("it is refused");
        assert_eq!(fault.code, CORRUPT, "{fault}");
        assert!(fault.message.contains("put the file back"), "{fault}");
        assert!(std::fs::read(&log).unwrap() == written, "the log is as it was");
        std::fs::rename(&away, &path).unwrap();
        let store = open_at(&path).await.unwrap();
        assert_eq!(keys(&store).await, ["acked"]);
        store.stop().await.unwrap();
    }
}
