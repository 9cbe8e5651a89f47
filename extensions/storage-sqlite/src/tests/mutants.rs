//! Fault test 13: five hundred damaged stores. Each is refused by name or opens; none ends the process, or is shortened.

use super::{StorageSqlite, asked_first, commit, open_at, put, puts};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::storage::{CORRUPT, CommitParams, Get, GetParams, Scan, ScanParams};
use dispatch_sdk::fault::{INVALID, IO, UNAVAILABLE};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

const N_MUTANTS: u64 = 500;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const ROWS: usize = 300;
const VALUE_BYTES: usize = 200;
/// The header of a SQLite file, and the first page with the schema.
const HEADER_BYTES: usize = 100;
const PAGE_BYTES: usize = 4096;
/// How long one damaged store may take; one that loops does not end.
const MUTANT_WAIT_MAX: Duration = Duration::from_secs(20);
const FILES: [&str; 2] = ["dispatch.db", "dispatch.db-wal"];

/// A seeded xorshift: same seed, same damage.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// What is on the disk of a host that was killed: the file, and a log that was not carried over.
struct Original {
    files: [Vec<u8>; 2],
    rows: BTreeMap<String, String>,
}

impl Original {
    async fn make(with_log: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILES[0]);
        let rows: BTreeMap<_, _> =
            (0..ROWS).map(|i| (format!("row/{i:04}"), format!("\"{i:v>VALUE_BYTES$}\""))).collect();
        let all: Vec<_> = rows.iter().map(|(key, value)| put(key, value)).collect();
        let store = open_at(&path).await.unwrap();
        let (first, second) = all.split_at(if with_log { ROWS / 2 } else { ROWS });
        commit(&store, &CommitParams { put: first.to_vec(), ..CommitParams::default() }).await.unwrap();
        store.stop().await.unwrap();
        let store = open_at(&path).await.unwrap();
        if with_log {
            commit(&store, &CommitParams { put: second.to_vec(), ..CommitParams::default() }).await.unwrap();
        }
        let files = FILES.map(|name| std::fs::read(dir.path().join(name)).unwrap_or_default());
        store.stop().await.unwrap();
        Self { files, rows }
    }

    /// A damaged copy, and how it was damaged.
    fn mutant(&self, random: &mut Random) -> ([Vec<u8>; 2], String) {
        let mut files = self.files.clone();
        let which = usize::from(!files[1].is_empty() && random.below(3) == 0);
        let bytes = &mut files[which];
        // A third each: somewhere, in the first page, in the header, where little damage does much.
        let span = [bytes.len(), PAGE_BYTES, HEADER_BYTES][random.below(3)].min(bytes.len());
        let at = random.below(span);
        let how = match random.below(3) {
            0 => {
                for _ in 0..=random.below(8) {
                    bytes[random.below(span)] ^= 1 << random.below(8);
                }
                "bits flipped from"
            }
            1 => {
                let end = (at + 1 + random.below(2 * PAGE_BYTES)).min(bytes.len());
                bytes[at..end].fill(0);
                "zeroes from"
            }
            _ => {
                let at = random.below(bytes.len());
                bytes.truncate(at);
                "cut at"
            }
        };
        (files, format!("{}: {how} {at} of {}", FILES[which], self.files[which].len()))
    }
}

#[derive(Default)]
struct Seen {
    n_refused: usize,
    n_told: usize,
    n_whole: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_damaged_stores_are_told_of_and_none_is_deleted_or_shortened() {
    let originals = [Original::make(false).await, Original::make(true).await];
    let mut random = Random(SEED);
    let mut seen = Seen::default();
    for i in 0..N_MUTANTS {
        let original = &originals[usize::from(i % 2 == 1)];
        let (files, how) = original.mutant(&mut random);
        let how = format!("mutant {i} ({how})");
        let tried = try_one(original, &files, &how, &mut seen);
        assert!(timeout(MUTANT_WAIT_MAX, tried).await.is_ok(), "{how} does not end");
    }
    let Seen { n_refused, n_told, n_whole } = seen;
    assert!(
        n_refused > 50 && n_told > 20 && n_whole > 20,
        "{n_refused} refused, {n_told} told, {n_whole} whole"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_header_counts_fewer_pages_than_there_are_is_not_cut_to_them() {
    let original = Original::make(false).await;
    let n_pages = original.files[0].len() / PAGE_BYTES;
    for counted in 2..n_pages {
        let mut files = original.files.clone();
        files[0][28..32].copy_from_slice(&u32::try_from(counted).unwrap().to_be_bytes());
        let how = format!("{counted} of {n_pages} pages");
        try_one(&original, &files, &how, &mut Seen::default()).await;
    }
}

async fn try_one(original: &Original, files: &[Vec<u8>; 2], how: &str, seen: &mut Seen) {
    let host = FakeHost::new();
    let path = super::path_in(&host);
    for (name, bytes) in FILES.iter().zip(files).filter(|(_, bytes)| !bytes.is_empty()) {
        std::fs::write(path.with_file_name(name), bytes).unwrap();
    }
    // A host that starts again and again meets the same.
    for start in 0..2 {
        let opened = match host.open::<StorageSqlite>("storage", json!({})).await {
            Ok(store) => asked_first(store).await,
            Err(fault) => Err(fault),
        };
        match opened {
            Err(fault) => {
                assert_named(&fault, &path, how);
                assert!(std::fs::read(&path).unwrap() == files[0], "{how}: a refused file was changed");
                seen.n_refused += 1;
            }
            Ok(store) => {
                let told = read_and_write(original, &store, &path, how).await;
                store.stop().await.unwrap();
                if told { seen.n_told += 1 } else { seen.n_whole += 1 }
            }
        }
        let n_bytes =
            std::fs::metadata(&path).unwrap_or_else(|e| panic!("{how}: the file is gone: {e}")).len();
        assert!(
            n_bytes >= files[0].len() as u64,
            "{how}, start {start}: cut from {} to {n_bytes}",
            files[0].len()
        );
    }
}

/// Whether any call told of the damage. A flipped bit inside a value is not found: SQLite keeps no sums of its pages.
async fn read_and_write(original: &Original, store: &Opened, path: &Path, how: &str) -> bool {
    let mut told = false;
    let mut check = |outcome: Result<(), Fault>| {
        if let Err(fault) = outcome {
            assert_named(&fault, path, how);
            assert_eq!(fault.code, CORRUPT, "{how}: {fault}");
            told = true;
        }
    };
    for key in original.rows.keys().step_by(29) {
        let reply = store.call(Get, &GetParams { key: key.clone() }).await;
        check(reply.map(drop));
    }
    for reverse in [false, true] {
        let reply = store.call(Scan, &ScanParams { reverse, ..ScanParams::default() }).await;
        check(reply.map(drop));
    }
    check(commit(store, &puts(&[("row/0100", "1"), ("row/9999", "1")])).await.map(drop));
    told
}

fn assert_named(fault: &Fault, path: &Path, how: &str) {
    let known = [CORRUPT, INVALID, IO, UNAVAILABLE].contains(&fault.code.as_str());
    assert!(known && fault.message.contains(&path.display().to_string()), "{how}: {fault}");
}
