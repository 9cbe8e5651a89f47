//! `instance.v1/check` and `instance.v1/metrics`: whether the file is sound, and what its log weighs.
//!
//! A check reads; it carries nothing over and repairs nothing.

use crate::StorageSqlite;
use crate::names::beside;
use crate::readers::blocking;
use crate::store::Store;
use crate::trouble::is_without_room;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{
    CheckReply, CheckResult, CheckStatus, Metric, MetricKind, MetricsReply, Sample,
};
use dispatch_sdk::{Call, Fault};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Largest file that is looked through page by page; a larger one takes longer than a person waits.
const LOOKED_THROUGH_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A log that stays larger than this is held by a reader that never ends.
const LOG_BYTES_WARN: u64 = 256 * 1024 * 1024;

impl StorageSqlite {
    pub(crate) async fn check(self: Arc<Self>, _call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        let store = match self.opened()? {
            Ok(store) => store,
            Err(damage) => return Ok(CheckReply { checks: vec![damaged(damage)] }),
        };
        Ok(CheckReply {
            checks: vec![
                file(store).await,
                log(store),
                room(store).await,
                durability(self.settings.durable()),
            ],
        })
    }

    pub(crate) async fn metrics(self: Arc<Self>, _call: Call, _params: Empty) -> Result<MetricsReply, Fault> {
        let store = self.store()?;
        let gauge = |name: &str, help: &str, bytes: u64| Metric {
            name: name.to_owned(),
            help: help.to_owned(),
            kind: MetricKind::Gauge,
            samples: vec![Sample { labels: BTreeMap::new(), value: number(bytes) }],
        };
        let commits = Metric {
            kind: MetricKind::Counter,
            ..gauge(
                "dispatch_store_transactions_total",
                "Transactions begun on the file.",
                store.n_transactions(),
            )
        };
        Ok(MetricsReply {
            metrics: vec![
                gauge("dispatch_store_file_bytes", "Size of the store's file.", bytes_of(store.path())),
                gauge(
                    "dispatch_store_log_bytes",
                    "Size of its write-ahead log.",
                    bytes_of(&beside(store.path(), "-wal")),
                ),
                commits,
            ],
        })
    }
}

/// A store that could not be opened.
fn damaged(damage: &Fault) -> CheckResult {
    CheckResult {
        name: "file".to_owned(),
        status: CheckStatus::Fail,
        summary: damage.message.clone(),
        recovery: "`dispatch backup restore FILE` keeps it aside and puts a backup in its place".to_owned(),
    }
}

async fn file(store: &Store) -> CheckResult {
    let (path, bytes) = (store.path().display().to_string(), bytes_of(store.path()));
    let result = |status, summary: String, recovery: &str| CheckResult {
        name: "file".to_owned(),
        status,
        summary,
        recovery: recovery.to_owned(),
    };
    if bytes > LOOKED_THROUGH_BYTES_MAX {
        let summary = format!("`{path}` has {bytes} bytes, too many to look through here");
        return result(CheckStatus::Ok, summary, "");
    }
    let keep = "copy the file and its -wal aside before anything else; start with a backup beside it";
    match store.look(quick_check).await {
        Ok(found) if found == "ok" => {
            result(CheckStatus::Ok, format!("`{path}` is sound, {bytes} bytes"), "")
        }
        Ok(found) => result(CheckStatus::Fail, format!("`{path}` is damaged: {found}"), keep),
        Err(fault) => result(CheckStatus::Fail, format!("`{path}` cannot be read: {}", fault.message), keep),
    }
}

/// The first thing that is wrong, or `ok`.
fn quick_check(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))
}

fn log(store: &Store) -> CheckResult {
    let bytes = bytes_of(&beside(store.path(), "-wal"));
    let (status, recovery) = if bytes > LOG_BYTES_WARN {
        (CheckStatus::Warn, "end whatever else has the file open for long, then restart the host")
    } else {
        (CheckStatus::Ok, "")
    };
    CheckResult {
        name: "log".to_owned(),
        status,
        summary: format!("the write-ahead log has {bytes} bytes"),
        recovery: recovery.to_owned(),
    }
}

/// What a commit needs that nobody has made yet.
async fn room(store: &Store) -> CheckResult {
    let dir = store.path().parent().unwrap_or(store.path()).to_owned();
    let shown = dir.display().to_string();
    let full = blocking(move || Ok(is_without_room(&dir))).await.unwrap_or(false);
    let (status, summary, recovery) = if full {
        (
            CheckStatus::Fail,
            format!("the disk that holds `{shown}` is full: nothing can be written"),
            "make room there",
        )
    } else {
        (CheckStatus::Ok, format!("there is room to write in `{shown}`"), "")
    };
    CheckResult { name: "room".to_owned(), status, summary, recovery: recovery.to_owned() }
}

fn durability(durable: bool) -> CheckResult {
    let (status, summary, recovery) = if durable {
        (CheckStatus::Ok, "a commit is on the disk before its reply", "")
    } else {
        (
            CheckStatus::Warn,
            "`synchronous` is `normal`: a power cut may take what was acknowledged",
            "set `synchronous` to `full`, the default",
        )
    };
    let (name, summary) = ("durability".to_owned(), summary.to_owned());
    CheckResult { name, status, summary, recovery: recovery.to_owned() }
}

/// A missing file has no bytes.
fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn number(n: u64) -> f64 {
    n as f64
}
