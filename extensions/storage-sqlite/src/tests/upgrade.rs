//! A store of the version before: it is read as it was, after a copy was made.

use super::{integrity, open_at, puts};
use crate::names::beside;
use crate::schema::SCHEMA_VERSION;
use dispatch_sdk::contracts::storage::{
    BlobDelete, BlobDeleteParams, BlobGet, BlobGetParams, CORRUPT, Commit, Scan, ScanParams,
};
use dispatch_sdk::fault::CONFLICT;
use dispatch_testkit::Opened;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

const BLOB: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A store that version 1 made and closed.
fn of_version_1(dir: &Path) -> PathBuf {
    let path = dir.join("dispatch.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("v1.sql")).unwrap();
    path
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

async fn entries(store: &Opened) -> Vec<(String, String, u64)> {
    let reply = store.call(Scan, &ScanParams::default()).await.unwrap();
    reply.entries.into_iter().map(|e| (e.key, e.value.get().to_owned(), e.version)).collect()
}

#[tokio::test]
async fn a_store_of_version_1_is_read_as_it_was_and_a_copy_of_it_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = of_version_1(dir.path());
    for n_opened in 1..=2 {
        let store = open_at(&path).await.unwrap();
        let expected = [("a", "{ \"odd\" : 1e400 }", 3), ("ä", "\"two\"", 7)];
        assert_eq!(
            entries(&store).await,
            expected.map(|(key, value, version)| (key.to_owned(), value.to_owned(), version))
        );
        let (frames, reply) = store.stream(BlobGet, &BlobGetParams { hash: BLOB.to_owned() }).finish().await;
        assert_eq!((frames.len(), reply.unwrap().bytes), (2, 4));
        store.stop().await.unwrap();
        let aside = [".v1", ".v1.2"].map(|ending| beside(&path, ending).exists());
        assert_eq!((version(&path), aside), (SCHEMA_VERSION, [true, false]), "opened {n_opened} times");
        assert_eq!(integrity(&path), "ok");
    }
    let copy = beside(&path, ".v1");
    assert_eq!(
        (version(&copy), integrity(&copy)),
        (1, "ok".to_owned()),
        "what an older program can go back to"
    );
    let store = open_at(&path).await.unwrap();
    let written = store.call(Commit, &puts(&[("new", "1")])).await.unwrap();
    assert_eq!(written.versions, [8], "versions go on");
    let delete = BlobDeleteParams { hash: BLOB.to_owned() };
    assert!(store.call(BlobDelete, &delete).await.unwrap().deleted, "new verbs work on old rows");
    let other = store.as_caller("other");
    other.call(BlobGet, &BlobGetParams { hash: BLOB.to_owned() }).await.expect("the other still holds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_it_at_once_upgrade_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = of_version_1(dir.path());
    let mut opening = JoinSet::new();
    for _ in 0..4 {
        let path = path.clone();
        opening.spawn(async move { open_at(&path).await.unwrap() });
    }
    for store in opening.join_all().await {
        assert_eq!(entries(&store).await.len(), 2);
    }
    let aside = [".v1", ".v1.2"].map(|ending| beside(&path, ending).exists());
    assert_eq!((version(&path), aside), (SCHEMA_VERSION, [true, false]));
}

#[tokio::test]
async fn a_store_that_cannot_be_copied_is_not_upgraded() {
    let dir = tempfile::tempdir().unwrap();
    let path = of_version_1(dir.path());
    for n in 1..=99 {
        let ending = if n == 1 { ".v1".to_owned() } else { format!(".v1.{n}") };
        std::fs::write(beside(&path, &ending), "kept").unwrap();
    }
    let before = std::fs::read(&path).unwrap();
    let fault = open_at(&path).await.err().expect("there is no name left for a copy");
    assert_eq!(fault.code, CONFLICT, "{fault}");
    assert!(std::fs::read(&path).unwrap() == before, "the store is as it was");
    assert_eq!(std::fs::read(beside(&path, ".v1")).unwrap(), b"kept");
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_no_name_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = of_version_1(dir.path());
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                INSERT INTO entry SELECT 'n', 'row/' || i, 9, '\"' || printf('%.300c', 'v') || '\"' FROM n";
    Connection::open(&path).unwrap().execute_batch(fill).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let n_bytes = bytes.len();
    bytes[n_bytes - 3 * 4096..n_bytes - 4096].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    for n in 1..=3 {
        let fault = open_at(&path).await.err().expect("its copy does not hold");
        assert_eq!(fault.code, CORRUPT, "time {n}: {fault}");
        let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains(".v1")).collect();
        assert!(left.is_empty(), "time {n}: {left:?}");
    }
    assert_eq!(version(&path), 1);
}
