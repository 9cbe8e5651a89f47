//! Several connections and processes on one file.

use super::{StorageSqlite, commit, count_up, open_at, path_in, puts, value_of};
use dispatch_testkit::FakeHost;
use serde_json::json;
use tokio::task::JoinSet;

const ROUNDS: u64 = 50;
const CALLERS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_on_one_file_lose_no_update() {
    let host = FakeHost::new();
    let mut counting = JoinSet::new();
    for id in ["left", "right"] {
        let store = host.open::<StorageSqlite>(id, json!({})).await.unwrap();
        for _ in 0..CALLERS {
            let store = store.clone();
            counting.spawn(async move {
                for _ in 0..ROUNDS {
                    count_up(&store, "shared").await.unwrap();
                }
            });
        }
    }
    counting.join_all().await;
    let store = open_at(&path_in(&host)).await.unwrap();
    assert_eq!(value_of(&store, "shared").await, Some((2 * CALLERS * ROUNDS).to_string()));
}

#[tokio::test]
async fn what_one_instance_has_written_another_reads_at_once_and_versions_go_on() {
    let host = FakeHost::new();
    let left = host.open::<StorageSqlite>("left", json!({})).await.unwrap();
    let right = host.open::<StorageSqlite>("right", json!({})).await.unwrap();
    let mut versions = Vec::new();
    for i in 0..20 {
        let (writer, reader) = if i % 2 == 0 { (&left, &right) } else { (&right, &left) };
        let value = i.to_string();
        versions.extend(commit(writer, &puts(&[("key", &value)])).await.unwrap().versions);
        assert_eq!(value_of(reader, "key").await, Some(value));
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_opens_at_once_of_a_missing_file_make_one_store() {
    let host = FakeHost::new();
    let mut opening = JoinSet::new();
    for i in 0..8 {
        let host = host.clone();
        opening.spawn(async move {
            let store = host.open::<StorageSqlite>(&format!("s{i}"), json!({})).await.unwrap();
            count_up(&store, "opened").await.unwrap();
            store
        });
    }
    let stores = opening.join_all().await;
    assert_eq!(value_of(&stores[0], "opened").await.as_deref(), Some("8"));
}
