//! Blobs: what the suite cannot see from outside.

use super::{StorageSqlite, path_in};
use dispatch_sdk::contracts::storage::{BlobGet, BlobGetParams, BlobPut, BlobPutParams, CORRUPT};
use dispatch_sdk::fault::{INVALID, NOT_FOUND, OVERLOADED, TOO_LARGE};
use dispatch_sdk::{Fault, UPLOAD_IDLE_MS_MAX, UPLOADS_MAX, blob_frame};
use dispatch_testkit::{FakeHost, Opened};
use rusqlite::Connection;
use serde_json::json;

async fn part(
    store: &Opened,
    id: &str,
    offset: u64,
    bytes: &[u8],
    last: bool,
) -> Result<Option<String>, Fault> {
    let params = BlobPutParams { upload_id: id.to_owned(), offset, data: blob_frame(bytes).data, last };
    store.call(BlobPut, &params).await.map(|reply| reply.hash)
}

async fn opened() -> (FakeHost, Opened) {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    (host, store)
}

fn count(host: &FakeHost, table: &str) -> i64 {
    let connection = Connection::open(path_in(host)).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_blob_is_kept_once_and_only_who_brought_it_reads_it() {
    let (host, store) = opened().await;
    let hash = part(&store, "one", 0, b"same", true).await.unwrap().unwrap();
    part(&store, "two", 0, b"sa", false).await.unwrap();
    assert_eq!(part(&store, "two", 2, b"me", true).await.unwrap().as_ref(), Some(&hash));
    let other = store.as_caller("other");
    let params = BlobGetParams { hash: hash.clone() };
    assert_eq!(other.call(BlobGet, &params).await.unwrap_err().code, NOT_FOUND);
    part(&other, "three", 0, b"same", true).await.unwrap();
    assert_eq!(other.call(BlobGet, &params).await.unwrap().bytes, 4);
    assert_eq!(["blob", "blob_part", "upload", "blob_owner"].map(|table| count(&host, table)), [1, 1, 0, 2]);
}

#[tokio::test]
async fn an_upload_untouched_for_ten_minutes_is_dropped() {
    let (host, store) = opened().await;
    part(&store, "kept", 0, b"a", false).await.unwrap();
    host.advance_ms(UPLOAD_IDLE_MS_MAX - 1);
    part(&store, "kept", 1, b"b", false).await.unwrap();
    part(&store, "left", 0, b"a", false).await.unwrap();
    host.advance_ms(UPLOAD_IDLE_MS_MAX);
    for last in [false, true] {
        let fault = part(&store, "left", 1, b"b", last).await.unwrap_err();
        assert_eq!(fault.code, INVALID, "{fault}");
    }
    // The next one that begins clears both away.
    part(&store, "left", 0, b"new", false).await.unwrap();
    assert_eq!(["blob", "blob_part", "upload"].map(|table| count(&host, table)), [1, 1, 1]);
    assert!(part(&store, "left", 3, b"", true).await.unwrap().is_some());
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let (host, store) = opened().await;
    part(&store, "long", 0, b"before ", false).await.unwrap();
    store.stop().await.unwrap();
    let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    let hash = part(&store, "long", 7, b"after", true).await.unwrap();
    assert_eq!(hash, part(&store, "whole", 0, b"before after", true).await.unwrap());
}

#[tokio::test]
async fn a_caller_has_a_bounded_number_of_unfinished_uploads() {
    let (_host, store) = opened().await;
    for i in 0..UPLOADS_MAX {
        part(&store, &i.to_string(), 0, b"x", false).await.unwrap();
    }
    assert_eq!(part(&store, "over", 0, b"x", false).await.unwrap_err().code, OVERLOADED);
    part(&store.as_caller("other"), "over", 0, b"x", false).await.unwrap();
    part(&store, "0", 1, b"y", true).await.unwrap();
    part(&store, "over", 0, b"x", false).await.unwrap();
}

#[tokio::test]
async fn a_part_or_a_blob_beyond_its_bound_is_too_large() {
    let (_host, store) = opened().await;
    let fault = part(&store, "part", 0, &vec![0; 1024 * 1024 + 1], true).await.unwrap_err();
    assert_eq!(fault.code, TOO_LARGE, "{fault}");
    let end = dispatch_sdk::contracts::storage::BLOB_BYTES_MAX;
    assert_eq!(part(&store, "blob", end, b"x", true).await.unwrap_err().code, TOO_LARGE);
    assert_eq!(part(&store, "blob", u64::MAX, b"x", true).await.unwrap_err().code, TOO_LARGE);
}

#[tokio::test]
async fn a_blob_that_was_changed_on_the_disk_is_not_read_to_its_end() {
    let (host, store) = opened().await;
    let hash = part(&store, "one", 0, b"right", true).await.unwrap().unwrap();
    let connection = Connection::open(path_in(&host)).unwrap();
    connection.execute("UPDATE blob_part SET bytes = x'00'", ()).unwrap();
    let fault = store.call(BlobGet, &BlobGetParams { hash }).await.unwrap_err();
    assert_eq!(fault.code, CORRUPT, "{fault}");
}
