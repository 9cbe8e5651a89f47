//! The extension as its callers meet it: the suite of `storage.v1`, its bound, and what it gives back.

use super::StorageMemory;
use crate::blobs::Blobs;
use crate::entries::Entries;
use crate::room::Room;
use dispatch_sdk::contracts::instance::{Backup, BackupParams, Restore, RestoreParams};
use dispatch_sdk::contracts::storage::{
    BlobGet, BlobGetParams, BlobPut, BlobPutParams, Commit, CommitParams, Info, InfoReply, NO_SPACE, Put,
};
use dispatch_sdk::contracts::{Empty, Mode};
use dispatch_sdk::fault::{INVALID, NOT_FOUND, OVERLOADED, UNAVAILABLE};
use dispatch_sdk::{UPLOAD_IDLE_MS_MAX, UPLOADS_MAX, UploadPart, blob_frame};
use dispatch_testkit::{FakeHost, Opened, storage_suite};
use serde_json::json;
use serde_json::value::RawValue;

async fn open(bytes_max: u64) -> Opened {
    FakeHost::new().open::<StorageMemory>("storage", json!({ "bytes_max": bytes_max })).await.unwrap()
}

fn put(key: &str, n_bytes: usize) -> Put {
    let value = RawValue::from_string(format!("\"{}\"", "v".repeat(n_bytes - 2))).unwrap();
    Put { key: key.to_owned(), value }
}

fn puts(put: Vec<Put>) -> CommitParams {
    CommitParams { put, ..CommitParams::default() }
}

fn part(upload_id: &str, offset: u64, bytes: &[u8], last: bool) -> UploadPart {
    UploadPart { upload_id: upload_id.to_owned(), offset, bytes: bytes.into(), last }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite_of_storage_v1() {
    let fresh = || async { FakeHost::new().open::<StorageMemory>("storage", json!({})).await.unwrap() };
    storage_suite::run(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_is_told_and_serves_again_after_a_delete() {
    let store = open(512 * 1024).await;
    storage_suite::run_no_space(&store, 20, || {}, || {}).await;
}

#[tokio::test]
async fn it_says_that_it_forgets_and_needs_no_runtime_but_for_frames() {
    let store = open(1024).await;
    let info = store.call(Info, &Empty {}).await.unwrap();
    assert_eq!(info, InfoReply { durable: false, engine: "memory".to_owned() });
    assert!(!store.call(Commit, &puts(vec![put("key", 9)])).await.unwrap().durable);
    let spawned = store.started().verbs.iter().filter(|verb| verb.mode == Mode::Spawned);
    assert_eq!(
        spawned.map(|verb| verb.name.as_str()).collect::<Vec<_>>(),
        ["instance.v1/backup", "instance.v1/restore", "storage.v1/blob_get", "storage.v1/watch"]
    );
}

#[tokio::test]
async fn it_says_that_there_is_nothing_to_back_up() {
    let store = open(1024).await;
    let backup = BackupParams { path: "/x".to_owned(), replace: true };
    let fault = store.call(Backup, &backup).await.unwrap_err();
    assert!(fault.is(UNAVAILABLE) && fault.message.contains("in memory"), "{fault}");
    assert_eq!(store.call(Restore, &RestoreParams { path: "/x".to_owned() }).await.unwrap_err(), fault);
}

#[tokio::test]
async fn a_key_it_does_not_know_is_refused_by_name() {
    let config = json!({ "byte_max": 1 });
    let fault = FakeHost::new().open::<StorageMemory>("storage", config).await.err().unwrap();
    assert!(fault.is(INVALID) && fault.message.contains("byte_max"), "{fault}");
}

#[test]
fn a_commit_that_does_not_fit_changes_nothing_and_one_that_needs_no_more_always_fits() {
    let mut entries = Entries::default();
    let mut room = Room::new(1000);
    entries.commit(puts(vec![put("a", 300), put("b", 300)]), &mut room).unwrap();
    let taken = room.taken();
    let full = CommitParams { delete: vec!["a".to_owned()], ..puts(vec![put("b", 300), put("c", 700)]) };
    let fault = entries.commit(full, &mut room).unwrap_err();
    assert!(fault.is(NO_SPACE) && fault.message.contains("bytes_max"), "{fault}");
    assert_eq!((entries.get("a").is_some(), entries.get("c").is_some(), room.taken()), (true, false, taken));
    entries.commit(puts(vec![put("a", 300)]), &mut room).unwrap();
    let moved = CommitParams { delete: vec!["a".to_owned()], ..puts(vec![put("c", 300)]) };
    entries.commit(moved, &mut room).unwrap();
    assert_eq!(room.taken(), taken);
}

#[test]
fn what_goes_gives_back_what_it_took() {
    let mut entries = Entries::default();
    let mut room = Room::new(100_000);
    entries.commit(puts(vec![put("a", 10), put("a", 5000), put("a", 20)]), &mut room).unwrap();
    let last = room.taken();
    entries
        .commit(CommitParams { delete: vec!["a".to_owned()], ..puts(vec![put("a", 20)]) }, &mut room)
        .unwrap();
    assert_eq!(room.taken(), last, "a key that is deleted and put in one commit is there once");
    let twice = vec!["a".to_owned(), "a".to_owned(), "never".to_owned()];
    entries.commit(CommitParams { delete: twice, ..CommitParams::default() }, &mut room).unwrap();
    assert_eq!(room.taken(), 0);
}

#[test]
fn uploads_are_bounded_in_number_and_time_and_a_double_takes_no_room() {
    let (mut blobs, mut room) = (Blobs::default(), Room::new(1_000_000));
    let mut put = |part, now_ms, room: &mut Room| blobs.put("caller", part, now_ms, room);
    let whole = put(part("whole", 0, b"same", true), 0, &mut room).unwrap().unwrap();
    let taken = room.taken();
    put(part("double", 0, b"sa", false), 0, &mut room).unwrap();
    assert_eq!(put(part("double", 2, b"me", true), 0, &mut room).unwrap(), Some(whole));
    assert_eq!(room.taken(), taken);
    for i in 0..UPLOADS_MAX {
        put(part(&i.to_string(), 0, b"x", false), 1, &mut room).unwrap();
    }
    assert_eq!(put(part("over", 0, b"x", false), 1, &mut room).unwrap_err().code, OVERLOADED);
    put(part("0", 1, b"y", false), 2, &mut room).unwrap();
    // All but the one that was touched later are dropped.
    put(part("over", 0, b"x", true), 1 + UPLOAD_IDLE_MS_MAX, &mut room).unwrap().unwrap();
    assert_eq!(put(part("1", 1, b"y", true), 3, &mut room).unwrap_err().code, INVALID);
    assert!(put(part("0", 2, b"z", true), 3, &mut room).unwrap().is_some());
}

#[tokio::test]
async fn a_blob_that_does_not_fit_is_refused_and_its_upload_goes_on_once_there_is_room() {
    let store = open(3000).await;
    store.call(Commit, &puts(vec![put("ballast", 2000)])).await.unwrap();
    let data = blob_frame(&[7; 1500]).data;
    let params = BlobPutParams { upload_id: "blob".to_owned(), offset: 0, data, last: true };
    assert_eq!(store.call(BlobPut, &params).await.unwrap_err().code, NO_SPACE);
    let delete = CommitParams { delete: vec!["ballast".to_owned()], ..CommitParams::default() };
    store.call(Commit, &delete).await.unwrap();
    let hash = store.call(BlobPut, &params).await.unwrap().hash.unwrap();
    let params = BlobGetParams { hash };
    assert_eq!(store.call(BlobGet, &params).await.unwrap().bytes, 1500);
    let fault = store.as_caller("other").call(BlobGet, &params).await.unwrap_err();
    assert_eq!(fault.code, NOT_FOUND, "a blob is seen by who brought it");
}

dispatch_testkit::settings_test!(super::Settings);
