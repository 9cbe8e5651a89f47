//! Preconditions, atomicity, and commits that race.

use super::steps::{commit, delete, get, put, puts, require, scan, value_of, write};
use crate::Opened;
use dispatch_contracts::fault::CONFLICT;
use dispatch_contracts::storage::{CommitParams, ScanParams};
use serde_json::json;
use tokio::task::JoinSet;

/// Commits that race for one version.
const RACERS: usize = 200;
/// Writers that count one number up together, and how often each does.
const WRITERS: usize = 20;
const ROUNDS: usize = 10;

pub(super) async fn check(storage: &Opened) {
    a_precondition_that_holds_lets_the_commit_pass(storage).await;
    a_conflict_names_the_key_and_nothing_is_written(storage).await;
    an_absent_key_can_be_required(storage).await;
    a_commit_of_many_items_is_atomic(storage).await;
    versions_come_in_the_order_of_the_puts(storage).await;
}

fn requiring(key: &str, version: Option<u64>, items: &[(&str, &str)]) -> CommitParams {
    CommitParams { require: vec![require(key, version)], ..puts(items) }
}

async fn a_precondition_that_holds_lets_the_commit_pass(storage: &Opened) {
    let version = write(storage, "held", "1").await;
    commit(storage, &requiring("held", Some(version), &[("held", "2")])).await.expect("the version is right");
    assert_eq!(value_of(storage, "held").await.as_deref(), Some("2"));
}

async fn a_conflict_names_the_key_and_nothing_is_written(storage: &Opened) {
    let version = write(storage, "fresh", "1").await;
    let stale = write(storage, "stale", "1").await;
    write(storage, "stale", "2").await;
    let params = CommitParams {
        require: vec![require("fresh", Some(version)), require("stale", Some(stale)), require("held", None)],
        put: vec![put("fresh", "9"), put("conflict/new", "9")],
        delete: vec!["stale".to_owned()],
    };
    let fault = commit(storage, &params).await.expect_err("the version is stale");
    assert_eq!(
        (fault.code.as_str(), &fault.detail["key"]),
        (CONFLICT, &json!("stale")),
        "the first that fails"
    );
    let after = [value_of(storage, "fresh").await, value_of(storage, "stale").await];
    assert_eq!(after, [Some("1".to_owned()), Some("2".to_owned())], "nothing was written");
    assert!(get(storage, "conflict/new").await.is_none(), "nothing was written");
}

async fn an_absent_key_can_be_required(storage: &Opened) {
    commit(storage, &requiring("absent", None, &[("absent", "1")])).await.expect("it is absent");
    let fault =
        commit(storage, &requiring("absent", None, &[("absent", "2")])).await.expect_err("it is there now");
    assert_eq!((fault.code.as_str(), &fault.detail["key"]), (CONFLICT, &json!("absent")));
    let version = get(storage, "absent").await.expect("it was put").version;
    delete(storage, "absent").await;
    let fault = commit(storage, &requiring("absent", Some(version), &[("absent", "2")])).await;
    assert_eq!(fault.expect_err("it is gone").code, CONFLICT, "a deleted key has no version");
    commit(storage, &requiring("absent", None, &[("absent", "3")])).await.expect("it is absent again");
    assert_eq!(value_of(storage, "absent").await.as_deref(), Some("3"));
}

async fn a_commit_of_many_items_is_atomic(storage: &Opened) {
    let all = |value: &str| CommitParams {
        put: (0..500).map(|i| put(&format!("atomic/{i:03}"), value)).collect(),
        ..CommitParams::default()
    };
    commit(storage, &all("1")).await.expect("it is written");
    let writer = tokio::spawn({
        let (storage, params) = (storage.clone(), all("2"));
        async move { commit(&storage, &params).await }
    });
    loop {
        let done = writer.is_finished();
        let reply = scan(
            storage,
            ScanParams { start: "atomic/".into(), end: "atomic0".into(), ..ScanParams::default() },
        )
        .await;
        let mut values: Vec<_> = reply.entries.iter().map(|entry| entry.value.get()).collect();
        assert_eq!(values.len(), 500);
        values.dedup();
        assert_eq!(values.len(), 1, "a scan sees all of a commit or nothing of it");
        if done {
            assert_eq!(values, ["2"]);
            break;
        }
    }
    writer.await.expect("no panic").expect("it is written");
}

async fn versions_come_in_the_order_of_the_puts(storage: &Opened) {
    let reply = commit(storage, &puts(&[("order/b", "1"), ("order/a", "1")])).await.expect("it is written");
    let b = get(storage, "order/b").await.expect("it was put").version;
    let a = get(storage, "order/a").await.expect("it was put").version;
    assert_eq!(reply.versions, [b, a]);
}

pub(super) async fn check_concurrent(storage: &Opened) {
    one_of_many_commits_with_one_precondition_wins(storage).await;
    no_update_of_a_counter_is_lost(storage).await;
}

async fn one_of_many_commits_with_one_precondition_wins(storage: &Opened) {
    let version = write(storage, "race", "-1").await;
    let mut racers = JoinSet::new();
    for i in 0..RACERS {
        let storage = storage.clone();
        racers.spawn(async move {
            let params = requiring("race", Some(version), &[("race", &i.to_string())]);
            (i, commit(&storage, &params).await)
        });
    }
    let mut winners = Vec::new();
    while let Some(raced) = racers.join_next().await {
        match raced.expect("no panic") {
            (i, Ok(_)) => winners.push(i.to_string()),
            (_, Err(fault)) => assert_eq!(fault.code, CONFLICT, "who loses is told so"),
        }
    }
    assert_eq!(winners.len(), 1, "exactly one wins");
    assert_eq!(value_of(storage, "race").await.as_ref(), winners.first(), "and its value stands");
}

async fn no_update_of_a_counter_is_lost(storage: &Opened) {
    write(storage, "counter", "0").await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let storage = storage.clone();
        writers.spawn(async move {
            for _ in 0..ROUNDS {
                count_up(&storage).await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("no panic");
    }
    assert_eq!(value_of(storage, "counter").await, Some((WRITERS * ROUNDS).to_string()), "no update is lost");
}

/// Reads, adds one and writes, until nobody else came between. Each refusal is another's success, so it ends.
pub(super) async fn count_up(storage: &Opened) {
    loop {
        let entry = get(storage, "counter").await.expect("it was put");
        let next = entry.value.get().parse::<usize>().expect("a number") + 1;
        let params = requiring("counter", Some(entry.version), &[("counter", &next.to_string())]);
        match commit(storage, &params).await {
            Ok(_) => return,
            Err(fault) => assert_eq!(fault.code, CONFLICT),
        }
    }
}
