//! Deleting ranges: boundaries, bounds, preconditions.

use super::steps::{commit, get, keys, put, puts, require, scan, write};
use crate::Opened;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CONFLICT, INVALID};
use dispatch_contracts::storage::{
    CommitParams, DELETE_RANGE_BYTES_MAX, DELETE_RANGE_LIMIT_MAX, DeleteRange, DeleteRangeParams,
    DeleteRangeReply, KEY_BYTES_MAX, SCAN_LIMIT_MAX, ScanParams, VALUE_BYTES_MAX,
};

pub(super) async fn check(storage: &Opened) {
    a_range_goes_and_what_lies_around_it_stays(storage).await;
    ends_that_are_empty_mean_the_whole_namespace_and_no_other(storage).await;
    a_limit_is_kept_and_the_next_call_goes_on(storage).await;
    one_call_deletes_a_bounded_number(storage).await;
    a_precondition_that_fails_deletes_nothing(storage).await;
    a_bound_that_is_no_key_is_invalid(storage).await;
}

fn range(start: &str, end: &str) -> DeleteRangeParams {
    DeleteRangeParams { start: start.to_owned(), end: end.to_owned(), ..DeleteRangeParams::default() }
}

async fn delete(storage: &Opened, params: &DeleteRangeParams) -> Result<DeleteRangeReply, Fault> {
    storage.call(DeleteRange, params).await
}

async fn deleted(storage: &Opened, params: &DeleteRangeParams) -> (u64, bool) {
    let reply = delete(storage, params).await.expect("a range within the bounds is deleted");
    (reply.n_deleted, reply.more)
}

async fn left(storage: &Opened) -> Vec<String> {
    let reply = scan(storage, ScanParams { keys_only: true, ..ScanParams::default() }).await;
    keys(&reply).into_iter().map(str::to_owned).collect()
}

async fn a_range_goes_and_what_lies_around_it_stays(storage: &Opened) {
    let all = ["a", "a/", "a/1", "a/2", "a/é", "a0", "b"];
    commit(storage, &puts(&all.map(|key| (key, "1")))).await.expect("they are written");
    assert_eq!(deleted(storage, &range("c", "d")).await, (0, false), "an empty range is no error");
    assert_eq!(deleted(storage, &range("b", "a")).await, (0, false), "nor is one that ends before it begins");
    assert_eq!(deleted(storage, &range("a/", "a0")).await, (4, false), "start is in it, end is not");
    assert_eq!(left(storage).await, ["a", "a0", "b"]);
    assert_eq!(deleted(storage, &range("a/", "a0")).await, (0, false), "a second time there is nothing");
    let again = write(storage, "a/1", "1").await;
    let before = get(storage, "b").await.expect("it stays").version;
    assert!(again > before, "a version is not used again after its range went: {again} > {before}");
}

async fn ends_that_are_empty_mean_the_whole_namespace_and_no_other(storage: &Opened) {
    let other = storage.as_caller("other");
    write(&other, "a", "1").await;
    deleted(storage, &range("b", "")).await;
    assert_eq!(left(storage).await, ["a", "a/1", "a0"], "an empty end is the end of the namespace");
    deleted(storage, &range("", "")).await;
    assert_eq!((left(storage).await.len(), left(&other).await.len()), (0, 1));
}

async fn a_limit_is_kept_and_the_next_call_goes_on(storage: &Opened) {
    let all: Vec<String> = (0..7).map(|i| format!("limit/{i}")).collect();
    let items: Vec<_> = all.iter().map(|key| (key.as_str(), "1")).collect();
    commit(storage, &puts(&items)).await.expect("they are written");
    let three = DeleteRangeParams { limit: 3, ..range("limit/", "limit0") };
    assert_eq!(deleted(storage, &three).await, (3, true));
    assert_eq!(left(storage).await, all[3..], "the first ones go first");
    assert_eq!(deleted(storage, &three).await, (3, true));
    assert_eq!(deleted(storage, &three).await, (1, false));
    commit(storage, &puts(&items[..3])).await.expect("they are written");
    assert_eq!(deleted(storage, &three).await, (3, false), "there is no more when the limit took the last");
}

async fn one_call_deletes_a_bounded_number(storage: &Opened) {
    let n = DELETE_RANGE_LIMIT_MAX + 1;
    for part in (0..n).collect::<Vec<_>>().chunks(SCAN_LIMIT_MAX) {
        let put = part.iter().map(|i| put(&format!("many/{i:05}"), "1")).collect();
        commit(storage, &CommitParams { put, ..CommitParams::default() }).await.expect("they are written");
    }
    let all = DeleteRangeParams { limit: usize::MAX, ..range("many/", "many0") };
    assert_eq!(deleted(storage, &all).await, (DELETE_RANGE_LIMIT_MAX as u64, true));
    assert_eq!(deleted(storage, &range("many/", "many0")).await, (1, false));
}

async fn a_precondition_that_fails_deletes_nothing(storage: &Opened) {
    let version = write(storage, "head", "1").await;
    write(storage, "row/1", "1").await;
    let stale = write(storage, "head", "2").await - 1;
    assert!(version <= stale);
    let held =
        |version| DeleteRangeParams { require: vec![require("head", version)], ..range("row/", "row0") };
    let fault = delete(storage, &held(Some(version))).await.expect_err("the head has moved");
    assert_eq!((fault.code.as_str(), &fault.detail["key"]), (CONFLICT, &serde_json::json!("head")));
    assert!(get(storage, "row/1").await.is_some(), "nothing of a refused deletion is done");
    let now = get(storage, "head").await.expect("it is there").version;
    assert_eq!(deleted(storage, &held(Some(now))).await, (1, false));
}

async fn a_bound_that_is_no_key_is_invalid(storage: &Opened) {
    for bound in ["a\0b".to_owned(), "k".repeat(KEY_BYTES_MAX + 2)] {
        let fault = delete(storage, &range(&bound, "")).await.expect_err("no key can be there");
        assert_eq!(fault.code, INVALID, "{fault}");
    }
}

/// Entries of a fresh store whose values are more than one call deletes.
pub(super) async fn check_bytes(storage: &Opened) {
    let value = format!("\"{}\"", "v".repeat(VALUE_BYTES_MAX - 2));
    let n_fit = DELETE_RANGE_BYTES_MAX / VALUE_BYTES_MAX;
    for i in 0..=n_fit {
        write(storage, &format!("large/{i:03}"), &value).await;
    }
    assert_eq!(deleted(storage, &range("", "")).await, (n_fit as u64, true), "full to the byte");
    assert_eq!(deleted(storage, &range("", "")).await, (1, false));
}
