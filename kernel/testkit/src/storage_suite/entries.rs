//! Single entries: values kept byte for byte, versions that only rise, namespaces by caller.

use super::steps::{commit, delete, get, keys, puts, scan, value_of, write};
use crate::Opened;
use dispatch_contracts::Empty;
use dispatch_contracts::storage::{CommitParams, Info, ScanParams};

/// JSON that a parser and a printer between them would change.
const VALUES: &[&str] = &[
    "null",
    "0",
    "-0.0",
    "1e400",
    "123456789012345678901234567890",
    "0.10000000000000000000000000001",
    "\"\"",
    "\"\\u00e4\\ud83d\\ude00 ä😀 \\/ /\"",
    "\"\\u0000\"",
    "{ \"b\" : 1,\t\"a\":\r\n[ ] , \"b\":2 }",
    "[1 , 2,3\n]",
];

pub(super) async fn check(storage: &Opened) {
    a_missing_key_has_no_entry(storage).await;
    values_are_kept_byte_for_byte(storage).await;
    versions_rise_and_are_never_used_again(storage).await;
    deleting_a_missing_key_is_no_error(storage).await;
    an_empty_commit_is_no_error(storage).await;
    callers_do_not_see_each_others_keys(storage).await;
    acks_are_as_durable_as_the_store_says(storage).await;
}

async fn a_missing_key_has_no_entry(storage: &Opened) {
    assert!(get(storage, "missing").await.is_none(), "a key that was never put has no entry");
}

async fn values_are_kept_byte_for_byte(storage: &Opened) {
    for (i, value) in VALUES.iter().enumerate() {
        let key = format!("bytes/{i}");
        let version = write(storage, &key, value).await;
        let entry = get(storage, &key).await.expect("it was put");
        let found = (entry.key.as_str(), entry.value.get(), entry.version);
        assert_eq!(found, (key.as_str(), *value, version), "a value comes back as it was put");
    }
    let all =
        scan(storage, ScanParams { start: "bytes/".into(), end: "bytes0".into(), ..ScanParams::default() })
            .await;
    for entry in &all.entries {
        let i: usize = entry.key["bytes/".len()..].parse().expect("the keys end with a number");
        assert_eq!(entry.value.get(), VALUES[i], "a scan gives values as they were put");
    }
    assert_eq!(all.entries.len(), VALUES.len());
}

async fn versions_rise_and_are_never_used_again(storage: &Opened) {
    let first = write(storage, "version", "1").await;
    let second = write(storage, "version", "1").await;
    delete(storage, "version").await;
    assert!(get(storage, "version").await.is_none(), "a deleted key has no entry");
    let third = write(storage, "version", "1").await;
    delete(storage, "version").await;
    delete(storage, "version").await;
    let fourth = write(storage, "version", "1").await;
    let versions = [first, second, third, fourth];
    assert!(versions.is_sorted_by(|a, b| a < b), "versions of a key rise through deletes: {versions:?}");
}

async fn deleting_a_missing_key_is_no_error(storage: &Opened) {
    delete(storage, "never/put").await;
    assert!(get(storage, "never/put").await.is_none());
}

async fn an_empty_commit_is_no_error(storage: &Opened) {
    let reply = commit(storage, &CommitParams::default()).await.expect("nothing to do is done");
    assert_eq!(reply.versions, Vec::<u64>::new());
}

async fn callers_do_not_see_each_others_keys(storage: &Opened) {
    let (one, two) = (storage.as_caller("one"), storage.as_caller("two"));
    write(&one, "shared", "\"of one\"").await;
    assert!(get(&two, "shared").await.is_none(), "a caller does not see another's key");
    write(&two, "shared", "\"of two\"").await;
    assert_eq!(value_of(&one, "shared").await.as_deref(), Some("\"of one\""), "a put stays in its namespace");
    delete(&one, "shared").await;
    assert_eq!(keys(&scan(&two, ScanParams::default()).await), ["shared"], "a delete stays in its namespace");
    assert!(keys(&scan(&one, ScanParams::default()).await).is_empty());
    // Names that a careless concatenation of caller and key would confuse.
    write(&storage.as_caller("a"), "b/c", "1").await;
    assert!(get(&storage.as_caller("a/b"), "c").await.is_none(), "caller and key are kept apart");
}

async fn acks_are_as_durable_as_the_store_says(storage: &Opened) {
    let info = storage.call(Info, &Empty {}).await.expect("info answers");
    let reply = commit(storage, &puts(&[("durable", "1")])).await.expect("it is written");
    assert_eq!(reply.durable, info.durable, "`durable` of a commit is that of `info`");
    assert!(!info.engine.is_empty(), "the engine has a name");
}
