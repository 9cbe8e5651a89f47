//! What is too long, and that nothing of a refused commit is written.

use super::steps::{commit, get, put, puts, require, write};
use crate::Opened;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{INVALID, TOO_LARGE};
use dispatch_contracts::storage::{
    COMMIT_BYTES_MAX, COMMIT_ITEMS_MAX, CommitParams, Get, GetParams, KEY_BYTES_MAX, VALUE_BYTES_MAX,
};

pub(super) async fn check(storage: &Opened) {
    check_first(storage).await;
    a_commit_has_a_bounded_number_of_bytes(storage).await;
}

pub(super) async fn check_first(storage: &Opened) {
    the_longest_key_and_value_are_kept(storage).await;
    the_shortest_key_is_kept(storage).await;
    a_value_is_counted_in_bytes_of_its_json(storage).await;
    longer_ones_are_refused_whole(storage).await;
    a_key_with_nul_is_invalid(storage).await;
    a_commit_has_a_bounded_number_of_items(storage).await;
}

/// A key of `len` bytes, partly of two bytes each.
fn key_of(len: usize) -> String {
    let mut key = "ä".repeat(8);
    key.push_str(&"k".repeat(len - key.len()));
    key
}

fn value_of(len: usize) -> String {
    format!("\"{}\"", "v".repeat(len - 2))
}

fn assert_bound(result: Result<impl std::fmt::Debug, Fault>, what: &str) {
    let fault = result.expect_err(what);
    assert!(
        fault.is(INVALID) || fault.is(TOO_LARGE),
        "{what} is refused as invalid or too_large, not {fault:?}"
    );
}

async fn the_longest_key_and_value_are_kept(storage: &Opened) {
    let (key, value) = (key_of(KEY_BYTES_MAX), value_of(VALUE_BYTES_MAX));
    write(storage, &key, &value).await;
    let entry = get(storage, &key).await.expect("it was put");
    assert_eq!(entry.value.get().len(), VALUE_BYTES_MAX);
    assert_eq!(entry.value.get(), value);
}

async fn the_shortest_key_is_kept(storage: &Opened) {
    write(storage, "", "\"nameless\"").await;
    assert_eq!(
        get(storage, "").await.expect("it was put").value.get(),
        "\"nameless\"",
        "the empty key is one"
    );
}

async fn a_value_is_counted_in_bytes_of_its_json(storage: &Opened) {
    // Two bytes each, spaces outside of the string, and an escape that stands for one character.
    let exact = format!("[ \"\\u00e4{}\" ]", "ä".repeat((VALUE_BYTES_MAX - 12) / 2));
    assert_eq!(exact.len(), VALUE_BYTES_MAX);
    write(storage, "exact", &exact).await;
    assert_eq!(get(storage, "exact").await.expect("it was put").value.get(), exact);
    let over = exact.replace("[ ", "[  ");
    assert_bound(commit(storage, &puts(&[("exact", &over)])).await, "a value with one space too many");
    assert_eq!(get(storage, "exact").await.expect("it was put").value.get(), exact, "the value before stays");
}

async fn longer_ones_are_refused_whole(storage: &Opened) {
    let (key, value) = (key_of(KEY_BYTES_MAX + 1), value_of(VALUE_BYTES_MAX + 1));
    assert_bound(commit(storage, &puts(&[("good/1", "1"), (&key, "1")])).await, "a put with too long a key");
    assert_bound(
        commit(storage, &puts(&[("good/2", "1"), ("k", &value)])).await,
        "a put with too long a value",
    );
    let delete = CommitParams { delete: vec![key.clone()], ..puts(&[("good/3", "1")]) };
    assert_bound(commit(storage, &delete).await, "a delete with too long a key");
    let required = CommitParams { require: vec![require(&key, None)], ..puts(&[("good/4", "1")]) };
    assert_bound(commit(storage, &required).await, "a precondition with too long a key");
    assert_bound(storage.call(Get, &GetParams { key }).await, "a get with too long a key");
    for i in 1..=4 {
        assert!(get(storage, &format!("good/{i}")).await.is_none(), "nothing of a refused commit is written");
    }
}

async fn a_key_with_nul_is_invalid(storage: &Opened) {
    let fault = commit(storage, &puts(&[("good/5", "1"), ("a\0b", "1")])).await.expect_err("NUL is refused");
    assert_eq!(fault.code, INVALID);
    let got = storage.call(Get, &GetParams { key: "a\0b".into() }).await.expect_err("NUL is refused");
    assert_eq!(got.code, INVALID);
    assert!(get(storage, "good/5").await.is_none(), "nothing of a refused commit is written");
}

async fn a_commit_has_a_bounded_number_of_items(storage: &Opened) {
    let puts = |n: usize| (0..n).map(|i| put(&format!("items/{i}"), "1")).collect::<Vec<_>>();
    let full = CommitParams {
        require: vec![require("items/none", None)],
        put: puts(COMMIT_ITEMS_MAX - 2),
        delete: vec!["items/none".to_owned()],
    };
    let reply = commit(storage, &full).await.expect("as many as are allowed are written");
    assert_eq!(reply.versions.len(), COMMIT_ITEMS_MAX - 2);
    let over = CommitParams { put: puts(COMMIT_ITEMS_MAX), ..full };
    assert_bound(commit(storage, &over).await, "a commit with too many items");
    let last = format!("items/{}", COMMIT_ITEMS_MAX - 1);
    assert!(get(storage, &last).await.is_none(), "nothing of a refused commit is written");
}

async fn a_commit_has_a_bounded_number_of_bytes(storage: &Opened) {
    // Keys of 7 bytes and values of 1 MiB, but the last, which fills it to the byte.
    let n_large = COMMIT_BYTES_MAX / VALUE_BYTES_MAX - 1;
    let large = value_of(VALUE_BYTES_MAX);
    let rest = COMMIT_BYTES_MAX - n_large * (VALUE_BYTES_MAX + 7) - 7;
    let commit_of = |len| {
        let mut all: Vec<_> = (0..n_large).map(|i| put(&format!("full/{i:02}"), &large)).collect();
        all.push(put("full/zz", &value_of(len)));
        CommitParams { put: all, ..CommitParams::default() }
    };
    let fault = commit(storage, &commit_of(rest + 1)).await.expect_err("one byte too many");
    assert_eq!(fault.code, TOO_LARGE, "{fault}");
    assert!(get(storage, "full/zz").await.is_none(), "nothing of a refused commit is written");
    commit(storage, &commit_of(rest)).await.expect("as many as are allowed are written");
}
