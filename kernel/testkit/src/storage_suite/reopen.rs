//! What a durable store still knows after it was stopped and opened again.

use super::blobs;
use super::steps::{commit, delete, get, puts, scan, write};
use crate::Opened;
use dispatch_contracts::Empty;
use dispatch_contracts::storage::{Info, ScanParams};

pub(super) async fn check<R, RFut>(storage: Opened, reopen: &R)
where
    R: Fn(Opened) -> RFut,
    RFut: Future<Output = Opened>,
{
    let info = storage.call(Info, &Empty {}).await.expect("info answers");
    assert!(info.durable, "a store that is to survive says so");
    let written = commit(&storage, &puts(&[("a", "{ \"odd\" : 1e400 }"), ("ä", "2"), ("z", "3")])).await;
    let versions = written.expect("it is written").versions;
    write(&storage.as_caller("other"), "a", "\"of other\"").await;
    let deleted = write(&storage, "deleted", "1").await;
    delete(&storage, "deleted").await;
    let blob = blobs::sample();
    let hash = blobs::put(&storage, "survives", &blob).await;

    let storage = reopen(storage).await;

    let reply = scan(&storage, ScanParams::default()).await;
    let found: Vec<_> = reply.entries.iter().map(|e| (e.key.as_str(), e.value.get(), e.version)).collect();
    let expected =
        [("a", "{ \"odd\" : 1e400 }", versions[0]), ("z", "3", versions[2]), ("ä", "2", versions[1])];
    assert_eq!(found, expected, "entries survive with value and version");
    let other = get(&storage.as_caller("other"), "a").await.expect("it survives");
    assert_eq!(other.value.get(), "\"of other\"", "namespaces survive");
    let again = write(&storage, "deleted", "1").await;
    assert!(again > deleted, "a version is not used again after a delete and a reopen: {again} > {deleted}");
    assert!(blobs::get(&storage, &hash).await.expect("it survives") == blob, "blobs survive");
}
