//! Fault test 12: a full disk, a hundred times.
//!
//! The test's own binary is the child: in a mount namespace of its own it fills a small tmpfs, which ends with it, however
//! it ends. Where neither root nor a user namespace may mount, the test says so aloud and fills a store of few pages.

use super::{commit, integrity, keys, open_at, puts, value_of};
use crate::StorageSqlite;
use crate::names::beside;
use crate::trouble::is_without_room;
use crate::writer::tests::fill_few_pages;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Backup, BackupParams, Check, CheckStatus, Serve, ServeParams};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_testkit::{FakeHost, storage_suite};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, remove_file};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::time::timeout;

const CHILD: &str = "STORAGE_SQLITE_TEST_SMALL_DISK";
const THIS: &str = "tests::full::a_full_disk_loses_no_ack_and_writes_go_on_once_there_is_room";
const N_CYCLES: usize = 100;
const TOLD_WITHIN: Duration = Duration::from_secs(60);
const DISK: &str = "size=3m,mode=0700";
const PAGE_BYTES: u64 = 4096;
/// How large the store's files may become: the rest of the disk is what a cycle gives back.
const SHARE_BYTES: u64 = 512 * 1024;
/// Pages more that a cycle leaves, a different number each time, so that every write of a commit meets the end.
const PAGES_MORE_MAX: u64 = 61;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the child of this test is told by its environment")]
async fn a_full_disk_loses_no_ack_and_writes_go_on_once_there_is_room() {
    if let Some(disk) = std::env::var_os(CHILD) {
        return fill_disk(Path::new(&disk)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    for namespaces in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        if may_mount(namespaces, dir.path()) {
            say(&format!(
                "fault test 12: {N_CYCLES} cycles on a tmpfs, by `unshare {}`",
                namespaces.join(" ")
            ));
            let status = in_small_disk(namespaces, dir.path(), &format!("exec {}", quoted_self()));
            assert!(status.unwrap().success(), "the child on the small disk failed; its output is above");
            return;
        }
    }
    say(&format!(
        "fault test 12: NO RIGHT TO MOUNT A TMPFS; {N_CYCLES} cycles of `max_page_count` in its place"
    ));
    fill_few_pages(N_CYCLES).await;
}

/// Past the harness, which holds back what a passing test prints.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn may_mount(namespaces: &[&str], disk: &Path) -> bool {
    in_small_disk(namespaces, disk, "true").is_ok_and(|status| status.success())
}

/// Runs `script` where a small tmpfs lies at `disk`; nobody outside sees it.
#[expect(clippy::disallowed_methods, reason = "a mount namespace is had by a process of its own")]
fn in_small_disk(namespaces: &[&str], disk: &Path, script: &str) -> std::io::Result<ExitStatus> {
    Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &format!("mount -t tmpfs -o {DISK} none \"${CHILD}\" && {script}")])
        .env(CHILD, disk)
        .status()
}

fn quoted_self() -> String {
    let binary = std::env::current_exe().unwrap().display().to_string();
    assert!(!binary.contains('\''), "the path of the test's binary holds no quote: {binary}");
    format!("'{binary}' --exact {THIS} --nocapture")
}

async fn fill_disk(disk: &Path) {
    let path = disk.join("dispatch.db");
    let ballast = disk.join("ballast");
    read_while_full(&path, &ballast).await;
    tell_while_full(disk, &ballast).await;
    let store = open_at(&path).await.unwrap();
    let cycle = std::cell::Cell::new(0_u64);
    let take_room = || {
        cycle.set(cycle.get() + 1);
        let share = SHARE_BYTES + PAGE_BYTES * (cycle.get() * 7 % PAGES_MORE_MAX);
        let taken: u64 =
            ["", "-wal"].map(|end| n_bytes(&disk.join(format!("dispatch.db{end}")))).iter().sum();
        fill_up(&ballast, share.saturating_sub(taken));
    };
    let kept =
        storage_suite::run_no_space(&store, N_CYCLES, take_room, || remove_file(&ballast).unwrap()).await;
    fill_up(&ballast, 4 * PAGE_BYTES);
    assert!(is_without_room(disk), "what a full quota is told by");
    let before = names_in(disk);
    let params = BackupParams { path: disk.join("copy.db").display().to_string(), replace: false };
    let fault = store.call(Backup, &params).await.expect_err("there is no room for a copy");
    assert_eq!((fault.code.as_str(), names_in(disk)), (NO_SPACE, before), "nothing stays of it: {fault}");
    remove_file(&ballast).unwrap();
    assert!(!is_without_room(disk));
    store.call(Backup, &params).await.expect("there is room again");
    store.stop().await.unwrap();
    let store = open_at(&path).await.unwrap();
    assert_eq!(keys(&store).await, kept, "all of it is there after a reopen");
    store.stop().await.unwrap();
    assert_eq!(integrity(&path), "ok");
}

/// A store that is closed can be read on a full disk, and be copied to another; what writes is refused as such.
async fn read_while_full(path: &Path, ballast: &Path) {
    let store = open_at(path).await.unwrap();
    commit(&store, &puts(&[("before", "1")])).await.unwrap();
    store.stop().await.unwrap();
    fill_up(ballast, 0);
    let store = open_at(path).await.expect("it is opened to be read");
    assert_eq!(value_of(&store, "before").await.as_deref(), Some("1"));
    assert_eq!(keys(&store).await, ["before"]);
    let fault = commit(&store, &puts(&[("during", "1")])).await.expect_err("there is no room");
    assert_eq!(fault.code, NO_SPACE, "{fault}");
    let fault = store.call(Serve, &ServeParams::default()).await.expect_err("nobody serves so");
    assert_eq!(fault.code, NO_SPACE, "{fault}");
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let params = BackupParams { path: other.path().join("copy.db").display().to_string(), replace: false };
    store.call(Backup, &params).await.expect("a copy on another disk");
    let room =
        store.call(Check, &Empty {}).await.unwrap().checks.into_iter().find(|check| check.name == "room");
    assert_eq!(room.unwrap().status, CheckStatus::Fail);
    remove_file(ballast).unwrap();
    commit(&store, &puts(&[("after", "1")])).await.expect("there is room again");
    store.stop().await.unwrap();
    let store = open_at(path).await.unwrap();
    assert_eq!(keys(&store).await, ["after", "before"]);
    store.call(Serve, &ServeParams::default()).await.expect("with room it serves");
    store.stop().await.unwrap();
    for ending in ["", "-wal", "-shm"] {
        // What comes next begins with a store of its own.
        let _ = remove_file(beside(path, ending));
    }
}

/// The host hears of a full disk, and of room again, without anything being written.
async fn tell_while_full(disk: &Path, ballast: &Path) {
    let host = FakeHost::new();
    host.on("kernel.v1/report", |_| Ok(json!({})));
    let path = disk.join("told.db");
    let store = host.open::<StorageSqlite>("storage", json!({ "path": path })).await.unwrap();
    let reported = async |n: usize, state: &str| {
        let come = async {
            loop {
                let reports = host.calls_of("kernel.v1/report");
                if let Some(report) = reports.get(n) {
                    assert_eq!(report["state"], state, "{reports:?}");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TOLD_WITHIN, come).await.expect("it is told");
    };
    fill_up(ballast, 0);
    reported(0, "degraded").await;
    remove_file(ballast).unwrap();
    reported(1, "ok").await;
    store.stop().await.unwrap();
    for ending in ["", "-wal", "-shm"] {
        let _ = remove_file(beside(&path, ending));
    }
}

fn names_in(dir: &Path) -> BTreeSet<OsString> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn n_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// Writes to `ballast` until the disk is full, then leaves `n_bytes_left` of it free.
fn fill_up(ballast: &Path, n_bytes_left: u64) {
    let mut file = File::create(ballast).unwrap();
    let page = [0; PAGE_BYTES as usize];
    let error = loop {
        if let Err(error) = file.write_all(&page) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    file.set_len(n_bytes(ballast).saturating_sub(n_bytes_left)).unwrap();
}
