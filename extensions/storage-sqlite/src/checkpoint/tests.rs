//! The log stays bounded, and the writer does not wait when it need not.

use super::*;
use crate::connection::{Company, open_reader};
use crate::file;
use crate::settings::{Settings, Synchronous};
use std::path::Path;

const PAGE_BYTES: i64 = 4096;

fn open(dir: &Path) -> Connection {
    file::open(&Settings { path: dir.join("dispatch.db"), synchronous: Synchronous::Normal }).unwrap().0
}

/// Commits something that takes `n_pages` pages of the log, about. SQLite writes no page that stays as it was, so the
/// value is another each time.
fn grow(connection: &Connection, n_pages: i64) {
    connection
        .execute(
            "INSERT INTO entry VALUES ('test', 'key', 1, hex(randomblob(?1)))
             ON CONFLICT DO UPDATE SET value = excluded.value",
            [n_pages * PAGE_BYTES / 2],
        )
        .unwrap();
}

fn log_pages(dir: &Path) -> i64 {
    std::fs::metadata(dir.join("dispatch.db-wal")).unwrap().len().cast_signed() / PAGE_BYTES
}

#[test]
fn an_idle_writer_carries_over_earlier_than_a_busy_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = open(dir.path());
    let mut checkpoints = Checkpoints::default();
    let mut left = |pages: i64, idle: bool| {
        grow(&connection, pages);
        checkpoints.run(&mut connection, idle).unwrap();
        let (log, carried) = wal(&connection, "NOOP").unwrap();
        log - carried
    };
    assert!(left(IDLE_PAGES / 2, true) > 0, "too little to do it");
    assert_eq!(left(IDLE_PAGES, true), 0, "idle, with enough");
    assert!(left(2 * IDLE_PAGES, false) > 0, "busy, with too little");
    assert_eq!(left(2 * IDLE_PAGES, false), 0, "busy, with enough");
}

#[test]
fn the_log_does_not_grow_with_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = open(dir.path());
    let mut checkpoints = Checkpoints::default();
    for i in 0..100 {
        grow(&connection, 200);
        checkpoints.run(&mut connection, i % 2 == 0).unwrap();
    }
    assert!(log_pages(dir.path()) < 2 * IDLE_PAGES, "{} pages", log_pages(dir.path()));
}

#[test]
fn a_reader_that_stays_holds_neither_the_writer_nor_the_log_once_it_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = open(dir.path());
    let mut checkpoints = Checkpoints::default();
    grow(&connection, 10);
    let reader = open_reader(&dir.path().join("dispatch.db"), Company::Others).unwrap();
    reader.execute_batch("BEGIN; SELECT version FROM counter").unwrap();
    for _ in 0..=WAL_PAGES_MAX / 800 {
        grow(&connection, 800);
        checkpoints.run(&mut connection, false).unwrap();
    }
    assert!(log_pages(dir.path()) > WAL_PAGES_MAX, "the reader held it");
    reader.execute_batch("COMMIT").unwrap();
    for _ in 0..4 {
        grow(&connection, 800);
        checkpoints.run(&mut connection, false).unwrap();
    }
    assert!(log_pages(dir.path()) <= LOAD_PAGES + 1, "{} pages", log_pages(dir.path()));
}

#[test]
fn room_is_made_by_cutting_the_log_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = open(dir.path());
    grow(&connection, 100);
    assert!(log_pages(dir.path()) >= 100);
    make_room(&mut connection).unwrap();
    assert_eq!(log_pages(dir.path()), 0);
}
