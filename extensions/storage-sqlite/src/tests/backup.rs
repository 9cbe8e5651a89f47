//! Copies of a store in use, and a copy in its place.

use super::{StorageSqlite, commit, integrity, keys, open_at, path_in, puts, value_of};
use crate::schema::SCHEMA_VERSION;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{
    Backup, BackupParams, BackupReply, Restore, RestoreParams, RestoreReply,
};
use dispatch_sdk::contracts::storage::CORRUPT;
use dispatch_sdk::fault::{CONFLICT, INVALID, NOT_FOUND, UNAVAILABLE};
use dispatch_testkit::{FakeHost, Opened};
use rusqlite::Connection;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

const PAGE_BYTES: usize = 4096;

async fn opened() -> Opened {
    FakeHost::new().open::<StorageSqlite>("storage", json!({})).await.unwrap()
}

async fn back_up(store: &Opened, path: &Path, replace: bool) -> Result<BackupReply, Fault> {
    store.call(Backup, &BackupParams { path: path.display().to_string(), replace }).await
}

async fn restore(store: &Opened, path: &Path) -> Result<RestoreReply, Fault> {
    store.call(Restore, &RestoreParams { path: path.display().to_string() }).await
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Enough rows for some pages.
async fn fill(store: &Opened) {
    let value = format!("\"{}\"", "v".repeat(300));
    for i in 0..200 {
        commit(store, &puts(&[(&format!("row/{i:03}"), &value)])).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_nothing_was_written_to_is_nothing_to_back_up() {
    let store = opened().await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("copy.db");
    let fault = back_up(&store, &target, false).await.expect_err("there is nothing");
    assert_eq!(fault.code, NOT_FOUND, "{fault}");
    assert!(fault.message.contains(path_in(store.host()).to_str().unwrap()), "{fault}");
    assert_eq!(names_in(dir.path()), Vec::<String>::new());
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    back_up(&store, &target, false).await.expect("now there is something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_store_that_is_written_to_is_whole_and_holds_what_was_acked_before() {
    let store = opened().await;
    commit(&store, &puts(&[("first", "1"), ("first/twin", "2")])).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("deep/er/copy.db");
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            let mut i = 0;
            loop {
                let key = format!("{i:05}");
                commit(&store, &puts(&[(&key, "1"), (&format!("{key}/twin"), "2")])).await.unwrap();
                i += 1;
            }
        }
    });
    for round in 0..5 {
        let before = keys(&store).await;
        let reply = back_up(&store, &target, true).await.unwrap();
        assert_eq!(reply.bytes, std::fs::metadata(&target).unwrap().len());
        assert_eq!(names_in(target.parent().unwrap()), ["copy.db"], "nothing else stays there");
        let copy = open_at(&target).await.unwrap();
        let kept = keys(&copy).await;
        assert!(kept.starts_with(&before) || before.iter().all(|key| kept.contains(key)), "round {round}");
        assert_eq!(
            kept.iter().filter(|key| key.ends_with("/twin")).count() * 2,
            kept.len(),
            "half of a commit"
        );
        copy.stop().await.unwrap();
        assert_eq!(integrity(&target), "ok");
    }
    writing.abort();
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_is_there_stays_unless_it_is_to_give_way_and_the_store_itself_always_does_stay() {
    let store = opened().await;
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("copy.db");
    std::fs::write(&target, "somebody's").unwrap();
    assert_eq!(back_up(&store, &target, false).await.unwrap_err().code, CONFLICT);
    assert_eq!(std::fs::read(&target).unwrap(), b"somebody's");
    back_up(&store, &target, true).await.unwrap();
    assert_eq!(integrity(&target), "ok");
    let path = path_in(store.host());
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for own in
        [path.clone(), link, crate::names::beside(&path, "-wal"), dir.path().to_owned(), "copy.db".into()]
    {
        let fault = back_up(&store, &own, true).await.unwrap_err();
        assert_eq!(fault.code, INVALID, "{}: {fault}", own.display());
    }
    assert_eq!(commit(&store, &puts(&[("key", "2")])).await.unwrap().versions.len(), 1, "the store goes on");
}

#[tokio::test]
async fn a_damaged_store_gives_no_copy() {
    let store = opened().await;
    fill(&store).await;
    store.stop().await.unwrap();
    let path = path_in(store.host());
    damage(&path);
    let damaged = open_at(&path).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let fault = back_up(&damaged, &dir.path().join("copy.db"), false).await.expect_err("it does not hold");
    assert_eq!(fault.code, CORRUPT, "{fault}");
    assert!(names_in(dir.path()).is_empty(), "nothing stays of it");
}

/// Pages that no start reads.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let n_pages = bytes.len() / PAGE_BYTES;
    bytes[(n_pages - 3) * PAGE_BYTES..(n_pages - 1) * PAGE_BYTES].fill(0xff);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_backup_takes_the_place_of_the_store_which_is_kept_aside() {
    let store = opened().await;
    let path = path_in(store.host());
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("copy.db");
    commit(&store, &puts(&[("key", "\"then\"")])).await.unwrap();
    back_up(&store, &backup, false).await.unwrap();
    let bytes = std::fs::read(&backup).unwrap();
    commit(&store, &puts(&[("key", "\"now\""), ("new", "1")])).await.unwrap();
    let kept = restore(&store, &backup).await.unwrap().kept;
    let fault = commit(&store, &puts(&[("key", "1")])).await.expect_err("it was closed for good");
    assert_eq!(fault.code, UNAVAILABLE, "{fault}");
    store.stop().await.unwrap();
    assert!(std::fs::read(&backup).unwrap() == bytes, "a backup is only read");
    for (file, expected) in [(path.as_path(), "\"then\""), (Path::new(&kept), "\"now\"")] {
        let store = open_at(file).await.unwrap();
        assert_eq!(value_of(&store, "key").await.as_deref(), Some(expected), "{}", file.display());
        store.stop().await.unwrap();
        assert_eq!(integrity(file), "ok");
    }
}

#[tokio::test]
async fn a_store_that_another_has_open_is_not_replaced() {
    let store = opened().await;
    let path = path_in(store.host());
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("copy.db");
    back_up(&store, &backup, false).await.unwrap();
    let other = open_at(&path).await.unwrap();
    commit(&other, &puts(&[("key", "2")])).await.unwrap();
    let before = names_in(path.parent().unwrap());
    let fault = restore(&store, &backup).await.expect_err("the other has it open");
    assert_eq!((fault.code.as_str(), &fault.detail["reason"]), (UNAVAILABLE, &json!("busy")), "{fault}");
    assert_eq!(names_in(path.parent().unwrap()), before, "nothing was changed");
    commit(&other, &puts(&[("key", "3")])).await.expect("the other goes on");
    assert_eq!(value_of(&other, "key").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_file_that_is_no_backup_is_refused_and_the_store_goes_on() {
    let store = opened().await;
    fill(&store).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("text"), "no database ".repeat(100)).unwrap();
    std::fs::write(file("empty"), "").unwrap();
    Connection::open(file("theirs")).unwrap().execute_batch("CREATE TABLE theirs (id)").unwrap();
    for name in ["newer", "damaged"] {
        back_up(&store, &file(name), false).await.unwrap();
    }
    Connection::open(file("newer")).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    damage(&file("damaged"));
    let cases = [
        ("text", CORRUPT),
        ("empty", CORRUPT),
        ("theirs", INVALID),
        ("newer", UNAVAILABLE),
        ("damaged", CORRUPT),
        ("missing", NOT_FOUND),
        (".", INVALID),
    ];
    let path = path_in(store.host());
    let before = names_in(path.parent().unwrap());
    for (name, code) in cases {
        let bytes = std::fs::read(file(name)).ok();
        let fault = restore(&store, &file(name)).await.expect_err(name);
        assert_eq!(fault.code, code, "{name}: {fault}");
        assert!(std::fs::read(file(name)).ok() == bytes, "{name} was changed");
    }
    assert_eq!(
        restore(&store, &path).await.unwrap_err().code,
        INVALID,
        "the store itself is no backup of it"
    );
    assert_eq!(names_in(path.parent().unwrap()), before, "nothing stays beside the store");
    commit(&store, &puts(&[("key", "1")])).await.expect("it goes on");
}

#[tokio::test]
async fn what_a_killed_backup_left_goes_with_the_next_one_and_what_somebody_works_in_stays() {
    let store = opened().await;
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("copy.db"), "half").unwrap();
        path
    };
    named(".dispatch-copy-left");
    // What versions before left has no lock: its age alone says that nobody works in it.
    let old = named(".dispatch-a1B2c3");
    let long_ago = SystemTime::UNIX_EPOCH;
    std::fs::File::open(old.join("copy.db")).unwrap().set_modified(long_ago).unwrap();
    named(".dispatch-d4E5f6");
    std::fs::write(named(".dispatch-g7H8i9").join("mine"), "").unwrap();
    let held = std::fs::File::open(named(".dispatch-copy-held")).unwrap();
    held.lock().unwrap();
    named("mine");
    back_up(&store, &dir.path().join("copy.db"), false).await.unwrap();
    assert_eq!(
        names_in(dir.path()),
        [".dispatch-copy-held", ".dispatch-d4E5f6", ".dispatch-g7H8i9", "copy.db", "mine"]
    );
    drop(held);
    back_up(&store, &dir.path().join("copy.db"), true).await.unwrap();
    assert_eq!(names_in(dir.path()), [".dispatch-d4E5f6", ".dispatch-g7H8i9", "copy.db", "mine"]);
}
