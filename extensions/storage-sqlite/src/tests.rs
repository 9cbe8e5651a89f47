//! The extension as its callers meet it, over files in temporary directories.

mod backup;
mod checking;
mod conformance;
mod damage;
mod damaged;
mod full;
mod kills;
mod modes;
mod mutants;
mod names;
mod processes;
mod upgrade;
mod uploads;

use crate::StorageSqlite;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::storage::{
    Commit, CommitParams, CommitReply, Get, GetParams, Info, Put, Require, Scan, ScanParams,
};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::json;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// Opens the store at `path` in a host of its own, damaged or not.
async fn start_at(path: &Path) -> Result<Opened, Fault> {
    FakeHost::new().open::<StorageSqlite>("storage", json!({ "path": path })).await
}

/// The same as who depends on it does: asks it first.
async fn open_at(path: &Path) -> Result<Opened, Fault> {
    asked_first(start_at(path).await?).await
}

async fn asked_first(store: Opened) -> Result<Opened, Fault> {
    match store.call(Info, &Empty {}).await {
        Ok(_) => Ok(store),
        Err(fault) => {
            store.stop().await?;
            Err(fault)
        }
    }
}

/// Where a host's store is when the build says nothing.
fn path_in(host: &FakeHost) -> PathBuf {
    Path::new(&host.dirs().data).join("dispatch.db")
}

fn put(key: &str, value: &str) -> Put {
    Put { key: key.to_owned(), value: RawValue::from_string(value.to_owned()).unwrap() }
}

fn puts(items: &[(&str, &str)]) -> CommitParams {
    CommitParams {
        put: items.iter().map(|(key, value)| put(key, value)).collect(),
        ..CommitParams::default()
    }
}

async fn commit(store: &Opened, params: &CommitParams) -> Result<CommitReply, Fault> {
    store.call(Commit, params).await
}

async fn value_of(store: &Opened, key: &str) -> Option<String> {
    let reply = store.call(Get, &GetParams { key: key.to_owned() }).await.unwrap();
    reply.entry.map(|entry| entry.value.get().to_owned())
}

async fn keys(store: &Opened) -> Vec<String> {
    let mut keys = Vec::new();
    let mut params = ScanParams::default();
    loop {
        let reply = store.call(Scan, &params).await.unwrap();
        keys.extend(reply.entries.into_iter().map(|entry| entry.key));
        if !reply.more {
            return keys;
        }
        params.start = dispatch_sdk::contracts::storage::after_key(keys.last().unwrap());
    }
}

/// Adds one to the number under `key`, against everybody else who does; answers how often it lost.
async fn count_up(store: &Opened, key: &str) -> Result<usize, Fault> {
    for n_lost in 0.. {
        let reply = store.call(Get, &GetParams { key: key.to_owned() }).await?;
        let n: u64 = reply.entry.as_ref().map_or(0, |entry| entry.value.get().parse().unwrap());
        let version = reply.entry.map(|entry| entry.version);
        let require = vec![Require { key: key.to_owned(), version }];
        let params = CommitParams { require, ..puts(&[(key, &(n + 1).to_string())]) };
        match commit(store, &params).await {
            Ok(_) => return Ok(n_lost),
            Err(fault) if fault.is(dispatch_sdk::fault::CONFLICT) => {}
            Err(fault) => return Err(fault),
        }
    }
    unreachable!("the range has no end")
}

/// What SQLite's own check says of the file.
fn integrity(path: &Path) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap()
}

dispatch_testkit::settings_test!(super::settings::Keys);
