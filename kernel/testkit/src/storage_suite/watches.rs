//! Watches: a tick when they stand, one after each change, none for others' namespaces.

use super::steps::{delete, puts, require, write};
use crate::{Opened, OpenedStream};
use dispatch_contracts::Empty;
use dispatch_contracts::fault::OVERLOADED;
use dispatch_contracts::storage::{
    Commit, DeleteRange, DeleteRangeParams, WATCH_TICK_MS_MIN, WATCHES_MAX, Watch,
};
use dispatch_sdk::Item;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a watch is listened to that must be silent.
const SILENCE: Duration = Duration::from_millis(10 * WATCH_TICK_MS_MIN);
const N_COMMITS: u32 = 50;

pub(super) async fn check(storage: &Opened) {
    a_commit_ticks_those_of_its_namespace_alone(storage).await;
    a_deleted_range_ticks_too(storage).await;
    many_commits_are_few_ticks_and_the_last_is_not_missed(storage).await;
    a_watch_too_many_is_refused_and_one_that_ended_makes_room(storage).await;
}

/// A watch that stands.
pub(super) async fn begin(storage: &Opened) -> OpenedStream<Watch> {
    let mut watch = storage.stream(Watch, &Empty {});
    tick(&mut watch).await;
    watch
}

pub(super) async fn tick(watch: &mut OpenedStream<Watch>) {
    assert!(matches!(watch.next().await, Ok(Item::Frame(_))), "a watch goes on until its caller ends it");
}

async fn is_silent(watch: &mut OpenedStream<Watch>) -> bool {
    timeout(SILENCE, tick(watch)).await.is_err()
}

async fn a_commit_ticks_those_of_its_namespace_alone(storage: &Opened) {
    let other = storage.as_caller("other");
    let mut watches = [begin(storage).await, begin(storage).await];
    let mut others = begin(&other).await;
    write(storage, "key", "1").await;
    for watch in &mut watches {
        tick(watch).await;
    }
    delete(storage, "key").await;
    for watch in &mut watches {
        tick(watch).await;
    }
    let refused = dispatch_contracts::storage::CommitParams {
        require: vec![require("key", Some(1))],
        ..puts(&[("key", "2")])
    };
    storage.call(Commit, &refused).await.expect_err("there is no such version");
    assert!(is_silent(&mut watches[0]).await, "a refused commit changes nothing");
    assert!(is_silent(&mut others).await, "another's changes are not this caller's");
}

async fn a_deleted_range_ticks_too(storage: &Opened) {
    write(storage, "range/1", "1").await;
    let mut watch = begin(storage).await;
    let range = DeleteRangeParams { start: "range/".into(), end: "range0".into(), ..Default::default() };
    storage.call(DeleteRange, &range).await.expect("it is deleted");
    tick(&mut watch).await;
}

async fn many_commits_are_few_ticks_and_the_last_is_not_missed(storage: &Opened) {
    let mut watch = begin(storage).await;
    let since = Instant::now();
    for i in 0..N_COMMITS {
        write(storage, "counter", &i.to_string()).await;
    }
    let mut n_ticks = 0;
    while timeout(SILENCE, tick(&mut watch)).await.is_ok() {
        n_ticks += 1;
    }
    let n_max = since.elapsed().as_millis() / u128::from(WATCH_TICK_MS_MIN) + 1;
    assert!((1..=n_max).contains(&n_ticks), "{n_ticks} ticks, at most {n_max} fit into that time");
    write(storage, "counter", "\"last\"").await;
    tick(&mut watch).await;
}

async fn a_watch_too_many_is_refused_and_one_that_ended_makes_room(storage: &Opened) {
    let mut open = Vec::new();
    for _ in 0..WATCHES_MAX {
        open.push(begin(storage).await);
    }
    let fault = storage.stream(Watch, &Empty {}).finish().await.1.expect_err("one too many");
    assert_eq!(fault.code, OVERLOADED, "{fault}");
    let ended = open.swap_remove(0);
    ended.cancel();
    ended.finish().await.1.expect("a watch that its caller ends has ended well");
    open.push(begin(storage).await);
}
