//! The double passes the suite of the contract, and fails when it is told to.

use super::MemoryStorage;
use crate::{FakeHost, Opened, storage_suite};
use dispatch_contracts::Empty;
use dispatch_contracts::storage::{Commit, CommitParams, Get, GetParams, Info, InfoReply, Put};
use serde_json::json;
use serde_json::value::RawValue;

async fn open() -> Opened {
    FakeHost::new().open::<MemoryStorage>("storage", json!({})).await.expect("it opens")
}

fn put(key: &str) -> CommitParams {
    let value = RawValue::from_string("1".to_owned()).expect("a number is JSON");
    CommitParams { put: vec![Put { key: key.to_owned(), value }], ..CommitParams::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_storage_passes_the_suite() {
    storage_suite::run(open).await;
}

async fn open_as_durable() -> Opened {
    FakeHost::new().open::<MemoryStorage>("storage", json!({ "durable": true })).await.expect("it opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_closed_passes_the_checks_after_a_reopen() {
    storage_suite::run_reopen(open_as_durable, |storage| async { storage }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "entries survive with value and version")]
async fn a_store_that_forgets_does_not_pass_as_durable() {
    let reopen = |storage: Opened| async move {
        storage.stop().await.expect("it stops");
        storage.host().open::<MemoryStorage>("storage", json!({ "durable": true })).await.expect("it opens")
    };
    storage_suite::run_reopen(open_as_durable, reopen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "a commit of one is seen by the other")]
async fn two_stores_do_not_pass_as_one() {
    storage_suite::run_shared(open, |_| open()).await;
}

#[tokio::test]
#[should_panic(expected = "the store was not full")]
async fn a_store_without_an_end_does_not_pass_as_full() {
    storage_suite::run_no_space(&open().await, 1, || {}, || {}).await;
}

#[tokio::test]
#[should_panic(expected = "a full store says so")]
async fn a_store_that_fails_in_another_way_does_not_pass_as_full() {
    let storage = open().await;
    MemoryStorage::control(&storage).fail_next_commit("io").await.expect("told");
    storage_suite::run_no_space(&storage, 1, || {}, || {}).await;
}

#[tokio::test]
#[should_panic(expected = "not acked while another holds the store")]
async fn a_store_that_heeds_no_lock_does_not_pass_as_locked() {
    storage_suite::run_locked(&open().await, || {}).await;
}

#[tokio::test]
#[should_panic(expected = "the damage is found where it is read")]
async fn a_store_that_was_not_damaged_does_not_pass_as_corrupt() {
    storage_suite::run_corrupt(open().await, |storage| async { Ok(storage) }).await;
}

#[tokio::test]
#[should_panic(expected = "what a damaged store still answers is right")]
async fn a_store_that_forgets_does_not_pass_as_corrupt() {
    storage_suite::run_corrupt(open().await, |_| async { Ok(open().await) }).await;
}

#[tokio::test]
async fn a_commit_told_to_fail_writes_nothing_and_the_next_one_passes() {
    let storage = open().await;
    MemoryStorage::control(&storage).fail_next_commit("no_space").await.expect("told");
    let fault = storage.call(Commit, &put("k")).await.expect_err("it was told to fail");
    let missing = storage.call(Get, &GetParams { key: "k".into() }).await.expect("reads go on").entry;
    storage.call(Commit, &put("k")).await.expect("only one was to fail");
    assert_eq!((fault.code.as_str(), missing.is_none()), ("no_space", true));
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_written_and_one_that_was_forgotten_is_answered() {
    let storage = open().await;
    let control = MemoryStorage::control(&storage);
    control.lose_next_reply("io").await.expect("told");
    let fault = storage.call(Commit, &put("k")).await.expect_err("its reply is lost");
    let found = storage.call(Get, &GetParams { key: "k".into() }).await.expect("reads go on").entry;
    assert_eq!((fault.code.as_str(), found.is_some()), ("io", true));
    control.fail_next_commit("io").await.expect("told");
    control.forget_faults().await.expect("told");
    storage.call(Commit, &put("k")).await.expect("nothing is to fail");
}

#[tokio::test]
async fn held_commits_wait_until_they_are_released() {
    let storage = open().await;
    let control = MemoryStorage::control(&storage);
    control.hold().await.expect("told");
    let committing = tokio::spawn({
        let storage = storage.clone();
        async move { storage.call(Commit, &put("k")).await }
    });
    control.wait_held(1).await.expect("it is held");
    let before = storage.call(Get, &GetParams { key: "k".into() }).await.expect("reads go on").entry;
    control.release().await.expect("told");
    committing.await.expect("no panic").expect("it goes on");
    assert!(before.is_none());
}

#[tokio::test]
async fn a_held_commit_can_be_cancelled_and_writes_nothing() {
    let storage = open().await;
    let control = MemoryStorage::control(&storage);
    control.hold().await.expect("told");
    let stream = storage.stream(Commit, &put("k"));
    control.wait_held(1).await.expect("it is held");
    stream.cancel();
    let (_, reply) = stream.finish().await;
    control.release().await.expect("told");
    let entry = storage.call(Get, &GetParams { key: "k".into() }).await.expect("reads go on").entry;
    assert_eq!((reply.expect_err("cancelled").code.as_str(), entry.is_none()), ("cancelled", true));
}

#[tokio::test]
async fn it_says_of_itself_what_it_was_told_to_say() {
    let host = FakeHost::new();
    let storage = host.open::<MemoryStorage>("storage", json!({ "durable": true })).await.expect("it opens");
    let info = storage.call(Info, &Empty {}).await.expect("answered");
    let durable = storage.call(Commit, &put("k")).await.expect("written").durable;
    assert_eq!((info, durable), (InfoReply { durable: true, engine: "memory".into() }, true));
}
