//! What the store says of itself.

use super::{StorageSqlite, commit, open_at, path_in, puts};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckStatus, Metrics};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::json;
use std::io::{Seek as _, SeekFrom, Write as _};

async fn statuses(store: &Opened) -> Vec<(String, CheckStatus)> {
    let reply = store.call_named(Check, "storage", &Empty {}).await.unwrap();
    reply.checks.into_iter().map(|check| (check.name, check.status)).collect()
}

fn named(expected: [CheckStatus; 4]) -> Vec<(String, CheckStatus)> {
    ["file", "log", "room", "durability"].map(str::to_owned).into_iter().zip(expected).collect()
}

#[tokio::test]
async fn a_sound_store_says_so_and_counts_its_transactions() {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    assert_eq!(statuses(&store).await, named([CheckStatus::Ok; 4]));
    let reply = store.call_named(Metrics, "storage", &Empty {}).await.unwrap();
    let transactions = reply.metrics.iter().find(|m| m.name == "dispatch_store_transactions_total").unwrap();
    assert_eq!(transactions.samples[0].value, 1.0);
    assert!(path_in(&host).is_file());
}

#[tokio::test]
async fn a_store_that_may_lose_commits_warns() {
    let host = FakeHost::new();
    let store = host.open::<StorageSqlite>("storage", json!({ "synchronous": "normal" })).await.unwrap();
    assert_eq!(statuses(&store).await[3].1, CheckStatus::Warn);
}

#[tokio::test]
async fn a_damaged_page_is_found_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dispatch.db");
    let store = open_at(&path).await.unwrap();
    let many: Vec<String> = (0..400).map(|n| format!("key-{n:04}")).collect();
    let text = format!("\"{}\"", "x".repeat(500));
    let items: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), text.as_str())).collect();
    commit(&store, &puts(&items)).await.unwrap();
    store.stop().await.unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(bytes - 3 * 4096)).unwrap();
    file.write_all(&[0xff; 2 * 4096]).unwrap();
    drop(file);
    let before = std::fs::read(&path).unwrap();
    // A store that notices at once does not start, and the host tells why; this one is found by looking.
    if let Ok(store) = open_at(&path).await {
        assert_eq!(statuses(&store).await[0].1, CheckStatus::Fail);
    }
    assert!(std::fs::read(&path).unwrap() == before, "looking changes nothing");
}
