//! The suite that every `storage.v1` passes, and what is this store's own.

use super::{StorageSqlite, commit, path_in, puts, value_of};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::storage::{Commit, Info};
use dispatch_sdk::fault::{INVALID, UNAVAILABLE};
use dispatch_testkit::{FakeHost, Opened, storage_suite};
use rusqlite::Connection;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite_of_storage_v1() {
    let open = || async { FakeHost::new().open::<StorageSqlite>("storage", json!({})).await.unwrap() };
    let reopen = |storage: Opened| async move {
        storage.stop().await.unwrap();
        storage.host().open::<StorageSqlite>("storage", json!({})).await.unwrap()
    };
    storage_suite::run_durable(open, reopen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_on_one_file_pass_the_suite() {
    let open = || async { FakeHost::new().open::<StorageSqlite>("left", json!({})).await.unwrap() };
    let beside = |left: Opened| async move {
        // A host of its own, as another process has it.
        super::open_at(&path_in(left.host())).await.unwrap()
    };
    storage_suite::run_shared(open, beside).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_another_holds_passes_the_suite() {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    let holder = Connection::open(path_in(&host)).unwrap();
    storage_suite::run_locked(&store, move || {
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Closing it gives the lock back.
        holder
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_store_passes_the_suite() {
    // The header; then every page but those that a start reads.
    for span in [0..100, 12 * 4096..14 * 4096] {
        let store = FakeHost::new().open::<StorageSqlite>("storage", json!({})).await.unwrap();
        let damage = |store: Opened| async move {
            store.stop().await.unwrap();
            let path = path_in(store.host());
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[span].fill(0xff);
            std::fs::write(&path, bytes).unwrap();
            super::asked_first(store.host().open::<StorageSqlite>("storage", json!({})).await?).await
        };
        storage_suite::run_corrupt(store, damage).await;
    }
}

#[tokio::test]
async fn a_key_it_does_not_know_is_refused_by_name() {
    let config = json!({ "synchronos": "full" });
    let fault = FakeHost::new().open::<StorageSqlite>("storage", config).await.err().unwrap();
    assert_eq!(fault.code, INVALID);
    assert!(fault.message.contains("synchronos"), "{fault}");
}

#[tokio::test]
async fn a_store_that_does_not_wait_for_the_disk_says_so() {
    let config = json!({ "synchronous": "normal" });
    let store = FakeHost::new().open::<StorageSqlite>("storage", config).await.unwrap();
    let info = store.call(Info, &Empty {}).await.unwrap();
    assert_eq!((info.durable, info.engine.as_str()), (false, "sqlite"));
    assert!(!commit(&store, &puts(&[("key", "1")])).await.unwrap().durable);
}

#[tokio::test]
async fn a_relative_path_lies_in_the_data_directory() {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({ "path": "deep/er.db" })).await.unwrap();
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    let path = path_in(&host);
    assert!(path.with_file_name("deep/er.db").is_file() && !path.exists());
}

#[tokio::test]
async fn a_stopped_store_refuses_calls_and_leaves_one_whole_file() {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    assert_eq!(value_of(&store, "key").await.as_deref(), Some("1"));
    store.stop().await.unwrap();
    let fault = store.call(Commit, &puts(&[("key", "2")])).await.unwrap_err();
    assert_eq!(fault.code, UNAVAILABLE, "{fault}");
    let files: Vec<_> =
        std::fs::read_dir(host.dirs().data).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["dispatch.db"], "the log has been carried over");
}
