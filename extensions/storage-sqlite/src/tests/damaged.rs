//! A store that cannot be read: it says so to everybody, and a backup can be put in its place.

use super::{commit, keys, open_at, puts, start_at, value_of};
use crate::names::beside;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{
    Backup, BackupParams, Check, CheckStatus, Metrics, Restore, RestoreParams,
};
use dispatch_sdk::contracts::storage::{CORRUPT, Get, GetParams, Info};
use dispatch_sdk::fault::UNAVAILABLE;
use dispatch_testkit::Opened;
use std::path::{Path, PathBuf};

const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 100;

/// A store with one row and a backup of it, closed.
async fn with_backup(dir: &Path) -> (PathBuf, PathBuf) {
    let (path, backup) = (dir.join("dispatch.db"), dir.join("backup.db"));
    let store = open_at(&path).await.unwrap();
    commit(&store, &puts(&[("key", "\"then\"")])).await.unwrap();
    let params = BackupParams { path: backup.display().to_string(), replace: false };
    store.call(Backup, &params).await.unwrap();
    commit(&store, &puts(&[("key", "\"now\"")])).await.unwrap();
    store.stop().await.unwrap();
    (path, backup)
}

async fn restore(store: &Opened, from: &Path) -> Result<PathBuf, dispatch_sdk::Fault> {
    let reply = store.call(Restore, &RestoreParams { path: from.display().to_string() }).await?;
    Ok(reply.kept.into())
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_store_that_cannot_be_read_and_all_of_that_is_kept() {
    for span in [0..100, PAGE_BYTES..2 * PAGE_BYTES, 0..PAGE_BYTES] {
        let dir = tempfile::tempdir().unwrap();
        let (path, backup) = with_backup(dir.path()).await;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[span.clone()].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        std::fs::write(beside(&path, "-wal"), "a log").unwrap();
        let store = start_at(&path).await.expect("it comes up to be restored");
        let told = store.call(Get, &GetParams { key: "key".to_owned() }).await.unwrap_err();
        assert_eq!(told.code, CORRUPT, "{span:?}: {told}");
        assert!(told.message.contains("backup restore"), "what to do is said: {told}");
        assert_eq!(store.call(Info, &Empty {}).await.unwrap_err(), told, "everybody is told the same");
        assert_eq!(commit(&store, &puts(&[("key", "1")])).await.unwrap_err(), told);
        assert_eq!(store.call(Metrics, &Empty {}).await.unwrap_err(), told);
        let checks = store.call(Check, &Empty {}).await.unwrap().checks;
        assert!(
            checks[0].status == CheckStatus::Fail && checks[0].recovery.contains("restore"),
            "{checks:?}"
        );
        let refused = restore(&store, &dir.path().join("none")).await.unwrap_err();
        assert!(std::fs::read(&path).unwrap() == bytes, "{span:?}: changed after {refused}");
        let kept = restore(&store, &backup).await.unwrap();
        // Where it can be read, the header says that the log has ended.
        assert!(
            std::fs::read(&kept).unwrap()[HEADER_BYTES..] == bytes[HEADER_BYTES..],
            "{span:?}: what is kept"
        );
        assert!(!beside(&path, "-wal").exists(), "a log would be carried over into the backup");
        let after = store.call(Info, &Empty {}).await.unwrap_err();
        assert_eq!(after.code, UNAVAILABLE, "{after}");
        assert!(after.message.contains("restart"), "what to do is said: {after}");
        store.stop().await.unwrap();
        let store = open_at(&path).await.unwrap();
        assert_eq!(keys(&store).await, ["key"]);
        assert_eq!(value_of(&store, "key").await.as_deref(), Some("\"then\""), "{span:?}");
        store.stop().await.unwrap();
    }
}
