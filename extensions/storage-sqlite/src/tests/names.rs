//! Files that are removed or replaced under a running store: nothing is acknowledged any more.

use super::{commit, open_at, path_in, puts, value_of};
use crate::StorageSqlite;
use crate::names::beside;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::storage::{CORRUPT, Get, GetParams, Watch};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::json;
use std::fs::{copy, remove_file, rename};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

const END_WAIT_MAX: Duration = Duration::from_secs(60);
const FILES: [&str; 3] = ["", "-wal", "-shm"];

async fn opened() -> Opened {
    let store = FakeHost::new().open::<StorageSqlite>("storage", json!({})).await.unwrap();
    commit(&store, &puts(&[("acked", "1")])).await.unwrap();
    store
}

/// Another file with the same bytes under the same name, as a restore by hand leaves it.
fn replace(name: &Path) {
    let aside = beside(name, ".aside");
    copy(name, &aside).unwrap();
    rename(&aside, name).unwrap();
}

async fn assert_stopped(store: &Opened, how: &str) {
    for key in ["first", "second"] {
        let fault = commit(store, &puts(&[(key, "1")])).await.expect_err(how);
        assert_eq!(fault.code, CORRUPT, "{how}: {fault}");
        assert!(fault.message.contains("restart"), "what to do is said: {fault}");
    }
    let fault = store.call(Get, &GetParams { key: "acked".to_owned() }).await.expect_err(how);
    assert_eq!(fault.code, CORRUPT, "{how}: it may be another file that is read: {fault}");
}

#[tokio::test]
async fn a_file_that_lost_its_name_is_not_written_to_any_more() {
    for ending in FILES {
        let store = opened().await;
        remove_file(beside(&path_in(store.host()), ending)).unwrap();
        assert_stopped(&store, &format!("`{ending}` removed")).await;
        let store = opened().await;
        replace(&beside(&path_in(store.host()), ending));
        assert_stopped(&store, &format!("`{ending}` replaced")).await;
    }
}

/// What the store reported to its host, once it did.
async fn reported(store: &Opened, state: &str) -> String {
    let said = async {
        loop {
            let reports = store.host().calls_of("kernel.v1/report");
            if let Some(report) = reports.iter().find(|report| report["state"] == state) {
                return report["reason"].as_str().unwrap_or("").to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(END_WAIT_MAX, said).await.expect("it is told without anybody asking")
}

#[tokio::test]
async fn a_file_that_lost_its_name_is_told_to_the_host_without_a_write() {
    for ending in FILES {
        let host = FakeHost::new();
        host.on("kernel.v1/report", |_| Ok(json!({})));
        let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
        remove_file(beside(&path_in(store.host()), ending)).unwrap();
        let reason = reported(&store, "failed").await;
        assert!(reason.contains("lost its file") && reason.contains("restart the host"), "{reason}");
        assert_stopped(&store, &format!("`{ending}` removed")).await;
    }
}

#[tokio::test]
async fn a_watch_of_a_store_without_its_file_ends() {
    let store = opened().await;
    let mut watch = store.stream(Watch, &Empty {});
    watch.next().await.expect("it stands");
    remove_file(beside(&path_in(store.host()), "-wal")).unwrap();
    let (_, end) = timeout(END_WAIT_MAX, watch.finish()).await.expect("it ends by itself");
    assert_eq!(end.expect_err("nothing can be watched any more").code, CORRUPT);
}

#[tokio::test]
async fn a_file_that_took_the_place_of_another_is_left_alone_by_who_had_the_other() {
    let (store, other) = (opened().await, opened().await);
    let path = path_in(store.host());
    commit(&other, &puts(&[("theirs", "2")])).await.unwrap();
    other.stop().await.unwrap();
    for ending in FILES {
        remove_file(beside(&path, ending)).unwrap();
    }
    copy(path_in(other.host()), &path).unwrap();
    let theirs = open_at(&path).await.unwrap();
    commit(&theirs, &puts(&[("theirs/2", "3")])).await.unwrap();
    let names: Vec<_> = FILES.map(|ending| crate::names::identity(&beside(&path, ending)).unwrap()).into();
    store.stop().await.unwrap();
    let after: Vec<_> = FILES.map(|ending| crate::names::identity(&beside(&path, ending)).unwrap()).into();
    assert_eq!(after, names, "its log is not removed at the end of the other");
    assert_eq!(value_of(&theirs, "theirs/2").await.as_deref(), Some("3"));
    theirs.stop().await.unwrap();
    assert_eq!(super::integrity(&path), "ok");
}

#[tokio::test]
async fn a_first_read_does_not_take_another_file_for_the_stores() {
    let store = FakeHost::new().open::<StorageSqlite>("storage", json!({})).await.unwrap();
    let path = path_in(store.host());
    commit(&store, &puts(&[("key", "\"ours\"")])).await.unwrap();
    let other = opened().await;
    commit(&other, &puts(&[("key", "\"theirs\"")])).await.unwrap();
    other.stop().await.unwrap();
    // No write comes by that would notice it.
    for ending in FILES {
        rename(beside(&path, ending), beside(&path, &format!("{ending}.aside"))).unwrap();
    }
    copy(path_in(other.host()), &path).unwrap();
    let fault = store.call(Get, &GetParams { key: "key".to_owned() }).await.expect_err("it is not ours");
    assert_eq!(fault.code, CORRUPT, "{fault}");
}
