//! Groups, full queues, full disks, held locks.

use super::*;
use crate::connection::set_busy_wait;
use crate::file;
use crate::settings::{Settings, Synchronous};
use dispatch_sdk::contracts::storage::{CommitParams, NO_SPACE, Put, Require};
use serde_json::value::RawValue;
use std::time::Duration;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    writer: Writer,
    /// A connection of the test's own.
    beside: Connection,
}

/// A writer on a fresh file, over a connection that `prepare` has changed.
fn bench(prepare: impl FnOnce(&mut Connection)) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { path: dir.path().join("dispatch.db"), synchronous: Synchronous::Full };
    let mut connection = file::open(&settings).unwrap().0;
    prepare(&mut connection);
    let beside = file::open(&settings).unwrap().0;
    let writer = Writer::start(settings.path, connection, Company::Others, Arc::default()).unwrap();
    Bench { dir, writer, beside }
}

impl Bench {
    /// Transactions in the log since it last began anew, by SQLite's file format: the frame that ends one holds the
    /// size of the file, every other one holds 0.
    fn n_transactions(&self) -> usize {
        let log = std::fs::read(self.dir.path().join("dispatch.db-wal")).unwrap();
        log[32..].chunks(24 + 4096).filter(|frame| frame[4..8] != [0; 4]).count()
    }

    fn lock(&self) {
        self.beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    }

    fn unlock(&self) {
        self.beside.execute_batch("COMMIT").unwrap();
    }

    fn n_entries(&self) -> i64 {
        self.beside.query_row("SELECT count(*) FROM entry", (), |row| row.get(0)).unwrap()
    }
}

fn put(key: &str, n_bytes: usize) -> Work {
    let value = RawValue::from_string(format!("\"{}\"", "v".repeat(n_bytes))).unwrap();
    let params = CommitParams { put: vec![Put { key: key.to_owned(), value }], ..CommitParams::default() };
    Work::Commit { namespace: "test".to_owned(), params }
}

fn delete(keys: impl Iterator<Item = String>) -> Work {
    let params = CommitParams { delete: keys.collect(), ..CommitParams::default() };
    Work::Commit { namespace: "test".to_owned(), params }
}

/// A commit that is refused: its key must be there and is not.
fn refused(key: &str) -> Work {
    let Work::Commit { namespace, mut params } = put(key, 1) else { unreachable!("a put is a commit") };
    params.require.push(Require { key: key.to_owned(), version: Some(1) });
    Work::Commit { namespace, params }
}

#[tokio::test]
async fn what_queues_during_a_commit_goes_together_and_a_refused_one_goes_alone() {
    let bench = bench(|_| {});
    let before = bench.n_transactions();
    bench.lock();
    let queued: Vec<_> = (0..100)
        .map(|i| {
            let key = format!("{i:03}");
            bench.writer.submit(if i % 10 == 9 { refused(&key) } else { put(&key, 10) }).unwrap()
        })
        .collect();
    bench.unlock();
    let mut versions = Vec::new();
    for (i, outcome) in queued.into_iter().enumerate() {
        match outcome.await.unwrap() {
            Ok(mut written) => versions.append(&mut written.versions),
            Err(fault) => {
                assert_eq!((i % 10, fault.code.as_str()), (9, fault::CONFLICT), "{fault}");
                assert_eq!(fault.detail, json!({ "key": format!("{i:03}") }));
            }
        }
    }
    assert_eq!(versions.len(), 90);
    assert!(versions.is_sorted_by(|a, b| a < b), "in the order of the queue: {versions:?}");
    assert_eq!(bench.n_entries(), 90, "nothing of a refused one is written");
    // The first may have gone before the others came.
    let n_transactions = bench.n_transactions() - before;
    assert!((1..=2).contains(&n_transactions), "{n_transactions} transactions for 100 commits");
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing_that_it_took() {
    let bench = bench(|_| {});
    bench.lock();
    let mut taken = Vec::new();
    let fault = loop {
        match bench.writer.submit(put(&taken.len().to_string(), 10)) {
            Ok(outcome) => taken.push(outcome),
            Err(fault) => break fault,
        }
        assert!(taken.len() <= WRITE_QUEUE_MAX + GROUP_WORKS_MAX, "the queue has no bound");
    };
    assert_eq!((fault.code.as_str(), &fault.detail["retry_after_ms"]), (fault::OVERLOADED, &json!(50)));
    assert!(taken.len() >= WRITE_QUEUE_MAX);
    bench.unlock();
    let n_taken = taken.len();
    for outcome in taken {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(bench.n_entries(), n_taken as i64);
    bench.writer.write(put("after", 10)).await.unwrap();
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let bench = bench(|_| {});
    bench.lock();
    let large = 1024 * 1024 - 2;
    let mut taken = Vec::new();
    while let Ok(outcome) = bench.writer.submit(put(&taken.len().to_string(), large)) {
        taken.push(outcome);
        assert!(taken.len() < 100, "the queue has no bound in bytes");
    }
    assert!(taken.len() >= 60, "{}", taken.len());
    bench.unlock();
    for outcome in taken {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(bench.writer.bytes_waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_lock_that_another_process_keeps_is_told_after_a_bounded_wait() {
    let bench = bench(|connection| set_busy_wait(connection, Duration::from_millis(20)).unwrap());
    bench.lock();
    let fault = bench.writer.write(put("key", 1)).await.unwrap_err();
    assert_eq!((fault.code.as_str(), &fault.detail["reason"]), (fault::UNAVAILABLE, &json!("busy")));
    bench.unlock();
    assert_eq!(bench.n_entries(), 0);
    bench.writer.write(put("key", 1)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_reads_go_on_and_writes_too_once_there_is_room() {
    fill_few_pages(5).await;
}

/// Fills a store of 100 pages `n_rounds` times, and empties it again through the same writer.
pub(crate) async fn fill_few_pages(n_rounds: usize) {
    let bench = bench(|connection| connection.pragma_update(None, "max_page_count", 100).unwrap());
    for round in 0..n_rounds {
        let mut n_written = 0;
        let fault = loop {
            match bench.writer.write(put(&format!("{round}/{n_written:03}"), 15_000)).await {
                Ok(_) => n_written += 1,
                Err(fault) => break fault,
            }
            assert!(n_written < 100, "the disk has no end");
        };
        assert_eq!(fault.code, NO_SPACE, "{fault}");
        assert!(n_written > 0, "round {round}: there was room again");
        assert_eq!(bench.n_entries(), n_written, "nothing of the refused one is there, all of the others is");
        bench.writer.write(delete((0..n_written).map(|i| format!("{round}/{i:03}")))).await.unwrap();
    }
    assert_eq!(bench.n_entries(), 0);
    let found: String = bench.beside.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

#[tokio::test]
async fn one_commit_that_does_not_fit_does_not_fail_those_beside_it() {
    let bench = bench(|connection| connection.pragma_update(None, "max_page_count", 100).unwrap());
    bench.lock();
    let queued = [("a", 10), ("huge", 900_000), ("b", 10)]
        .map(|(key, n_bytes)| bench.writer.submit(put(key, n_bytes)).unwrap());
    bench.unlock();
    let mut codes = Vec::new();
    for outcome in queued {
        codes.push(outcome.await.unwrap().err().map(|fault| fault.code));
    }
    assert_eq!(codes, [None, Some(NO_SPACE.to_owned()), None]);
    assert_eq!(bench.n_entries(), 2);
}

#[tokio::test]
async fn closing_writes_what_has_queued() {
    let bench = bench(|_| {});
    bench.lock();
    let queued: Vec<_> = (0..50).map(|i| bench.writer.submit(put(&i.to_string(), 10)).unwrap()).collect();
    bench.unlock();
    bench.writer.close();
    for outcome in queued {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(bench.n_entries(), 50);
    let fault = bench.writer.write(put("late", 1)).await.unwrap_err();
    assert_eq!(fault.detail["reason"], json!("stopped"), "{fault}");
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_not_written() {
    let bench = bench(|_| {});
    bench.lock();
    let first = bench.writer.submit(put("first", 1)).unwrap();
    let mut filled = Vec::new();
    // More than the group that may be on its way already.
    for i in 0..GROUP_WORKS_MAX {
        filled.push(bench.writer.submit(put(&i.to_string(), 1)).unwrap());
    }
    drop(bench.writer.submit(put("left", 1)).unwrap());
    bench.unlock();
    first.await.unwrap().unwrap();
    for outcome in filled {
        outcome.await.unwrap().unwrap();
    }
    bench.writer.write(put("last", 1)).await.unwrap();
    assert_eq!(bench.n_entries(), GROUP_WORKS_MAX as i64 + 2);
}
