//! Two instances on one store, as two processes would have them.

use super::steps::{commit, delete, get, put, require, value_of, write};
use super::{blobs, commits, watches};
use crate::Opened;
use dispatch_contracts::Empty;
use dispatch_contracts::fault::CONFLICT;
use dispatch_contracts::storage::{CommitParams, Info};
use tokio::task::JoinSet;

const WRITERS: usize = 3;
const ROUNDS: usize = 15;

pub(super) async fn check(left: &Opened, right: &Opened) {
    they_say_the_same_of_themselves(left, right).await;
    what_one_has_committed_the_other_reads_at_once(left, right).await;
    a_precondition_holds_against_the_other(left, right).await;
    callers_are_told_apart_in_both(left, right).await;
    a_blob_of_one_is_read_through_the_other(left, right).await;
    no_update_is_lost_between_them(left, right).await;
    a_commit_of_one_ticks_the_others_watch(left, right).await;
    one_goes_on_when_the_other_stops(left, right).await;
}

async fn they_say_the_same_of_themselves(left: &Opened, right: &Opened) {
    let [left, right] = [left.call(Info, &Empty {}).await, right.call(Info, &Empty {}).await];
    assert_eq!(left.expect("info answers"), right.expect("info answers"));
}

async fn what_one_has_committed_the_other_reads_at_once(left: &Opened, right: &Opened) {
    let mut versions = Vec::new();
    for i in 0..10 {
        let (writer, reader) = if i % 2 == 0 { (left, right) } else { (right, left) };
        versions.push(write(writer, "turn", &i.to_string()).await);
        assert_eq!(
            value_of(reader, "turn").await,
            Some(i.to_string()),
            "a commit of one is seen by the other"
        );
        delete(reader, "turn").await;
        assert!(get(writer, "turn").await.is_none(), "a delete of one is seen by the other");
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "versions rise whoever writes: {versions:?}");
}

async fn a_precondition_holds_against_the_other(left: &Opened, right: &Opened) {
    let version = write(left, "held", "1").await;
    write(right, "held", "2").await;
    let params = CommitParams {
        require: vec![require("held", Some(version))],
        put: vec![put("held", "3"), put("held/new", "3")],
        ..CommitParams::default()
    };
    assert_eq!(commit(left, &params).await.expect_err("the other has written").code, CONFLICT);
    assert_eq!(value_of(left, "held").await.as_deref(), Some("2"));
    assert!(get(left, "held/new").await.is_none(), "nothing of a refused commit is written");
}

async fn callers_are_told_apart_in_both(left: &Opened, right: &Opened) {
    write(&left.as_caller("one"), "shared", "\"of one\"").await;
    assert!(get(&right.as_caller("two"), "shared").await.is_none(), "namespaces hold across instances");
    assert!(
        get(&right.as_caller("one"), "shared").await.is_some(),
        "a namespace is the caller, not the instance"
    );
}

async fn a_blob_of_one_is_read_through_the_other(left: &Opened, right: &Opened) {
    let blob = blobs::sample();
    let hash = blobs::put(left, "shared", &blob).await;
    assert!(blobs::get(right, &hash).await.expect("it is kept") == blob, "the bytes are the same");
}

async fn no_update_is_lost_between_them(left: &Opened, right: &Opened) {
    write(left, "counter", "0").await;
    let mut writers = JoinSet::new();
    for storage in [left, right] {
        for _ in 0..WRITERS {
            let storage = storage.clone();
            writers.spawn(async move {
                for _ in 0..ROUNDS {
                    commits::count_up(&storage).await;
                }
            });
        }
    }
    while let Some(written) = writers.join_next().await {
        written.expect("no panic");
    }
    let expected = (2 * WRITERS * ROUNDS).to_string();
    assert_eq!(value_of(left, "counter").await, Some(expected), "no update is lost");
}

async fn a_commit_of_one_ticks_the_others_watch(left: &Opened, right: &Opened) {
    let mut watch = watches::begin(left).await;
    for i in 0..3 {
        write(right, "watched", &i.to_string()).await;
        watches::tick(&mut watch).await;
        assert_eq!(
            value_of(left, "watched").await,
            Some(i.to_string()),
            "after the tick it is there to be read"
        );
    }
}

async fn one_goes_on_when_the_other_stops(left: &Opened, right: &Opened) {
    write(left, "last", "1").await;
    left.stop().await.expect("it stops");
    assert_eq!(value_of(right, "last").await.as_deref(), Some("1"));
    write(right, "last", "2").await;
    assert_eq!(value_of(right, "last").await.as_deref(), Some("2"));
}
