//! A full disk, a held lock, a damaged file: what a store must still keep to. How it comes to that is its test's affair.

use super::steps::{commit, get, put, puts, scan, value_of, write};
use crate::Opened;
use dispatch_contracts::Fault;
use dispatch_contracts::storage::{CORRUPT, CommitParams, Get, GetParams, NO_SPACE, ScanParams, after_key};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of each value that fills a store.
const FILL_BYTES: usize = 16 * 1024;
/// Commits of one cycle after which a store counts as never full (32 MiB).
const FILL_COMMITS_MAX: usize = 2000;
/// Entries of the store that is damaged, 300 bytes each.
const ROWS: usize = 200;
/// How long a commit is watched while another holds the store; one that is acked in this time was not held up.
const HELD_WATCH: Duration = Duration::from_millis(50);

pub(super) async fn check_no_space(
    storage: &Opened,
    n_cycles: usize,
    take_room: impl Fn(),
    give_room: impl Fn(),
) -> Vec<String> {
    let mut kept = Vec::new();
    let mut n_acked = 0;
    for cycle in 0..n_cycles {
        take_room();
        let (acked, refused) = fill(storage, cycle).await;
        n_acked += acked.len();
        let mut expected: Vec<_> = kept.iter().chain(&acked).cloned().collect();
        expected.extend(acked.iter().map(|key| twin(key)));
        expected.sort();
        assert_eq!(all_keys(storage).await, expected, "cycle {cycle}: all that was acked, and nothing else");
        for key in acked.first().into_iter().chain(acked.last()) {
            assert_eq!(value_of(storage, key).await, Some(value(key)), "cycle {cycle}: reads go on");
        }
        give_room();
        let delete = acked.iter().flat_map(|key| [key.clone(), twin(key)]).collect();
        let params = CommitParams { delete, ..CommitParams::default() };
        commit(storage, &params).await.expect("once there is room, the same instance deletes");
        let key = format!("a/kept/{cycle:03}");
        write(storage, &key, &format!("\"in place of {refused}\"")).await;
        kept.push(key);
    }
    assert!(
        n_acked >= n_cycles,
        "the store took something before it was full: {n_acked} in {n_cycles} cycles"
    );
    kept
}

/// Commits until one is refused; the keys that were acked, and the one that was not.
async fn fill(storage: &Opened, cycle: usize) -> (Vec<String>, String) {
    let mut acked = Vec::new();
    for i in 0..FILL_COMMITS_MAX {
        let key = format!("fill/{cycle:03}/{i:05}");
        let params = puts(&[(&key, &value(&key)), (&twin(&key), "1")]);
        match commit(storage, &params).await {
            Ok(_) => acked.push(key),
            Err(fault) => {
                assert_eq!(fault.code, NO_SPACE, "a full store says so: {fault:?}");
                return (acked, key);
            }
        }
    }
    panic!("the store was not full after {FILL_COMMITS_MAX} commits of {FILL_BYTES} bytes");
}

fn twin(key: &str) -> String {
    format!("{key}/twin")
}

fn value(key: &str) -> String {
    format!("\"{key:v>FILL_BYTES$}\"")
}

async fn all_keys(storage: &Opened) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut params = ScanParams::default();
    loop {
        let reply = scan(storage, params.clone()).await;
        keys.extend(reply.entries.into_iter().map(|entry| entry.key));
        match keys.last() {
            Some(last) if reply.more => params.start = after_key(last),
            _ => return keys,
        }
    }
}

pub(super) async fn check_locked<G>(storage: &Opened, lock: impl FnOnce() -> G) {
    write(storage, "held", "1").await;
    let guard = lock();
    let mut committing = tokio::spawn({
        let storage = storage.clone();
        async move { commit(&storage, &puts(&[("held", "2")])).await }
    });
    let early = timeout(HELD_WATCH, &mut committing).await.ok().map(|joined| joined.expect("no panic"));
    assert!(!matches!(early, Some(Ok(_))), "a commit is not acked while another holds the store");
    assert_eq!(
        value_of(storage, "held").await.as_deref(),
        Some("1"),
        "reads go on, and show what is committed"
    );
    drop(guard);
    let outcome = match early {
        Some(outcome) => outcome,
        None => committing.await.expect("no panic"),
    };
    let expected = if outcome.is_ok() { "2" } else { "1" };
    assert_eq!(value_of(storage, "held").await.as_deref(), Some(expected), "it is written if it was acked");
    write(storage, "held", "3").await;
    assert_eq!(value_of(storage, "held").await.as_deref(), Some("3"), "it goes on afterwards");
}

pub(super) async fn check_corrupt<R, RFut>(storage: Opened, damage: R)
where
    R: FnOnce(Opened) -> RFut,
    RFut: Future<Output = Result<Opened, Fault>>,
{
    let row = |i: usize| format!("\"{i:v>300}\"");
    let all = (0..ROWS).map(|i| put(&format!("row/{i:04}"), &row(i))).collect();
    commit(&storage, &CommitParams { put: all, ..CommitParams::default() }).await.expect("it is written");
    let storage = match damage(storage).await {
        Err(fault) => return assert_corrupt(&fault),
        Ok(storage) => storage,
    };
    let mut n_corrupt = 0;
    for i in 0..ROWS {
        match storage.call(Get, &GetParams { key: format!("row/{i:04}") }).await {
            Ok(reply) => {
                let found = reply.entry.map(|entry| entry.value.get().to_owned());
                assert_eq!(found, Some(row(i)), "what a damaged store still answers is right");
            }
            Err(fault) => {
                assert_corrupt(&fault);
                n_corrupt += 1;
            }
        }
    }
    assert!(n_corrupt > 0, "the damage is found where it is read");
    assert!(get(&storage, "never/put").await.is_none(), "what is whole is still read");
}

fn assert_corrupt(fault: &Fault) {
    let path = fault.detail["path"].as_str().unwrap_or_default();
    assert!(fault.is(CORRUPT), "damage is called `{CORRUPT}`, not {fault:?}");
    assert!(!path.is_empty() && fault.message.contains(path), "the fault names what is damaged: {fault:?}");
}
