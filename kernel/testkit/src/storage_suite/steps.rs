//! What the checks do with a store, each in one line. It must not know any check.

use crate::Opened;
use dispatch_contracts::Fault;
use dispatch_contracts::storage::{
    Commit, CommitParams, CommitReply, Entry, Get, GetParams, Put, Require, Scan, ScanParams, ScanReply,
};
use serde_json::value::RawValue;

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("the suite writes JSON")
}

pub(super) fn put(key: &str, value: &str) -> Put {
    Put { key: key.to_owned(), value: json(value) }
}

pub(super) fn puts(items: &[(&str, &str)]) -> CommitParams {
    CommitParams {
        put: items.iter().map(|(key, value)| put(key, value)).collect(),
        ..CommitParams::default()
    }
}

pub(super) fn require(key: &str, version: Option<u64>) -> Require {
    Require { key: key.to_owned(), version }
}

pub(super) async fn commit(storage: &Opened, params: &CommitParams) -> Result<CommitReply, Fault> {
    storage.call(Commit, params).await
}

/// Puts one entry; its version.
pub(super) async fn write(storage: &Opened, key: &str, value: &str) -> u64 {
    let reply = commit(storage, &puts(&[(key, value)])).await.expect("a put within the bounds is written");
    *reply.versions.first().expect("one put has one version")
}

pub(super) async fn get(storage: &Opened, key: &str) -> Option<Entry> {
    storage
        .call(Get, &GetParams { key: key.to_owned() })
        .await
        .expect("a get within the bounds answers")
        .entry
}

pub(super) async fn value_of(storage: &Opened, key: &str) -> Option<String> {
    get(storage, key).await.map(|entry| entry.value.get().to_owned())
}

pub(super) async fn delete(storage: &Opened, key: &str) {
    let params = CommitParams { delete: vec![key.to_owned()], ..CommitParams::default() };
    commit(storage, &params).await.expect("a delete is written");
}

pub(super) async fn scan(storage: &Opened, params: ScanParams) -> ScanReply {
    storage.call(Scan, &params).await.expect("a scan within the bounds answers")
}

pub(super) fn keys(reply: &ScanReply) -> Vec<&str> {
    reply.entries.iter().map(|entry| entry.key.as_str()).collect()
}
