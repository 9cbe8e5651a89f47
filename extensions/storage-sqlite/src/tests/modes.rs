//! Who may read the store's files.

use super::{StorageSqlite, commit, open_at, path_in, puts};
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_may_read_the_files_and_the_directory_that_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/dispatch.db");
    let store = open_at(&path).await.unwrap();
    commit(&store, &puts(&[("key", "1")])).await.unwrap();
    let found = ["", "/dispatch.db", "/dispatch.db-wal", "/dispatch.db-shm"]
        .map(|name| mode(Path::new(&format!("{}{name}", path.parent().unwrap().display()))));
    assert_eq!(found, [0o700, 0o600, 0o600, 0o600]);
}

#[tokio::test]
async fn a_file_that_others_may_read_is_taken_back() {
    let host = FakeHost::new();
    host.open::<StorageSqlite>("storage", json!({})).await.unwrap().stop().await.unwrap();
    let path = path_in(&host);
    std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    let _store = host.open::<StorageSqlite>("storage", json!({})).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}
