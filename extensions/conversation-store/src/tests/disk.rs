//! A store in memory that several hosts share, as several processes share a file; it fails and halts on demand.

use dispatch_sdk::contracts::storage::{self, Entry, NO_SPACE};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs, fault};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

static DISKS: LazyLock<Mutex<HashMap<u64, Arc<Disk>>>> = LazyLock::new(Mutex::default);
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// What becomes of the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    NoSpace,
    /// Not written, and nobody can tell.
    Lost,
    /// Written, and nobody can tell.
    Written,
    /// As if another had changed the head just before.
    Conflict,
}

type Answer = Box<dyn Fn() -> Fault + Send>;

#[derive(Default)]
pub(super) struct Disk {
    pub(super) id: u64,
    entries: Mutex<BTreeMap<String, (String, u64)>>,
    version: AtomicU64,
    /// One commit at a time: what it requires still holds when it writes.
    committing: Mutex<()>,
    fails: Mutex<VecDeque<Fail>>,
    reads_fail: AtomicBool,
    /// So many reads of blobs fail.
    blob_reads_fail: AtomicU64,
    n_scans: AtomicU64,
    /// Whole ones by name, and those under way by upload.
    blobs: Mutex<HashMap<String, String>>,
    /// What every commit is answered, if it is set.
    answer: Mutex<Option<Answer>>,
    /// Commits wait while a test holds it.
    pub(super) gate: tokio::sync::RwLock<()>,
}

impl Disk {
    pub(super) fn new() -> Arc<Self> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let disk = Arc::new(Self { id, ..Self::default() });
        DISKS.lock().unwrap().insert(id, Arc::clone(&disk));
        disk
    }

    pub(super) fn fail_next(&self, fail: Fail) {
        self.fails.lock().unwrap().push_back(fail);
    }

    /// Writes nothing from now on.
    pub(super) fn answer_commits(&self, answer: impl Fn() -> Fault + Send + 'static) {
        *self.answer.lock().unwrap() = Some(Box::new(answer));
    }

    pub(super) fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::Relaxed);
    }

    pub(super) fn fail_blob_reads(&self, n: u64) {
        self.blob_reads_fail.store(n, Ordering::Relaxed);
    }

    fn check_read(&self) -> Result<(), Fault> {
        if self.reads_fail.load(Ordering::Relaxed) {
            Err(Fault::new(fault::IO, "cannot read"))
        } else {
            Ok(())
        }
    }

    pub(super) fn put(&self, key: &str, value: &str) {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        self.entries.lock().unwrap().insert(key.to_owned(), (value.to_owned(), version));
    }

    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.entries.lock().unwrap().get(key).map(|(value, _)| value.clone())
    }

    pub(super) fn lose_blobs(&self) {
        self.blobs.lock().unwrap().clear();
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        self.entries.lock().unwrap().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    fn commit(&self, params: &storage::CommitParams) -> Result<storage::CommitReply, Fault> {
        let _alone = self.committing.lock().unwrap();
        if let Some(answer) = &*self.answer.lock().unwrap() {
            return Err(answer());
        }
        let fail = self.fails.lock().unwrap().pop_front();
        match fail {
            Some(Fail::NoSpace) => return Err(Fault::new(NO_SPACE, "the disk is full")),
            Some(Fail::Lost) => return Err(Fault::new(fault::IO, "nobody knows")),
            Some(Fail::Conflict) => return Err(Fault::new(fault::CONFLICT, "changed")),
            Some(Fail::Written) | None => {}
        }
        for require in &params.require {
            let version = self.entries.lock().unwrap().get(&require.key).map(|(_, version)| *version);
            if version != require.version {
                let detail = serde_json::json!({ "key": require.key });
                return Err(Fault::new(fault::CONFLICT, "changed").with_detail(detail));
            }
        }
        for key in &params.delete {
            assert!(params.put.iter().all(|put| put.key != *key), "`{key}` is put and deleted at once");
            self.entries.lock().unwrap().remove(key);
        }
        let mut versions = Vec::new();
        for put in &params.put {
            assert!(
                put.value.get().len() <= storage::VALUE_BYTES_MAX && put.key.len() <= storage::KEY_BYTES_MAX
            );
            self.put(&put.key, put.value.get());
            versions.push(self.version.load(Ordering::Relaxed));
        }
        match fail {
            Some(_) => Err(Fault::new(fault::IO, "nobody knows")),
            None => Ok(storage::CommitReply { versions, durable: true }),
        }
    }

    /// Pages that were read so far.
    pub(super) fn n_scans(&self) -> u64 {
        self.n_scans.load(Ordering::Relaxed)
    }

    fn scan(&self, params: &storage::ScanParams) -> storage::ScanReply {
        self.n_scans.fetch_add(1, Ordering::Relaxed);
        let entries = self.entries.lock().unwrap();
        let within = |key: &&String| **key >= params.start && (params.end.is_empty() || **key < params.end);
        let mut keys: Vec<&String> = entries.keys().filter(within).collect();
        if params.reverse {
            keys.reverse();
        }
        let limit = if params.limit == 0 { storage::SCAN_LIMIT_MAX } else { params.limit };
        let bytes_max = if params.bytes_max == 0 { storage::SCAN_BYTES_MAX } else { params.bytes_max };
        let (n_keys, mut bytes) = (keys.len(), 0);
        let fits = |key: &&String| {
            let first = bytes == 0;
            bytes += entries[*key].0.len();
            first || bytes <= bytes_max
        };
        let page: Vec<Entry> =
            keys.into_iter().take(limit).take_while(fits).map(|key| entry(key, &entries[key])).collect();
        storage::ScanReply { more: page.len() < n_keys, entries: page }
    }
}

fn entry(key: &str, (value, version): &(String, u64)) -> Entry {
    Entry { key: key.to_owned(), value: RawValue::from_string(value.clone()).unwrap(), version: *version }
}

/// `storage.v1` over a disk.
pub(super) struct DiskStore {
    disk: Arc<Disk>,
}

#[derive(Deserialize)]
struct Settings {
    disk: u64,
}

impl Extension for DiskStore {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let disk = config.parse::<Settings>()?.disk;
        Ok(Self { disk: Arc::clone(&DISKS.lock().unwrap()[&disk]) })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on_inline(storage::Get, Self::get);
        verbs.on_inline(storage::Scan, Self::scan);
        verbs.on_inline(storage::Commit, Self::commit);
        verbs.on(storage::BlobPut, Self::blob_put);
        verbs.on(storage::BlobGet, Self::blob_get);
        verbs.on(storage::Info, Self::info);
    }
}

impl DiskStore {
    async fn get(
        self: Arc<Self>,
        _call: Call,
        params: storage::GetParams,
    ) -> Result<storage::GetReply, Fault> {
        self.disk.check_read()?;
        let entries = self.disk.entries.lock().unwrap();
        Ok(storage::GetReply { entry: entries.get(&params.key).map(|found| entry(&params.key, found)) })
    }

    async fn scan(
        self: Arc<Self>,
        _call: Call,
        params: storage::ScanParams,
    ) -> Result<storage::ScanReply, Fault> {
        self.disk.check_read()?;
        Ok(self.disk.scan(&params))
    }

    async fn commit(
        self: Arc<Self>,
        _call: Call,
        params: storage::CommitParams,
    ) -> Result<storage::CommitReply, Fault> {
        let _open = self.disk.gate.read().await;
        self.disk.commit(&params)
    }

    /// Parts are kept as they come, each of a length that base64 needs no padding for but the last.
    async fn blob_put(
        self: Arc<Self>,
        _call: Call,
        params: storage::BlobPutParams,
    ) -> Result<storage::BlobPutReply, Fault> {
        let mut blobs = self.disk.blobs.lock().unwrap();
        let mut data = blobs.remove(&params.upload_id).unwrap_or_default();
        assert_eq!(data.len() as u64, params.offset / 3 * 4, "parts come in order");
        data.push_str(&params.data);
        let n_blobs = blobs.len();
        let name = if params.last { format!("blob-{n_blobs}") } else { params.upload_id };
        blobs.insert(name.clone(), data);
        Ok(storage::BlobPutReply { hash: params.last.then_some(name) })
    }

    async fn blob_get(
        self: Arc<Self>,
        call: Call,
        params: storage::BlobGetParams,
    ) -> Result<storage::BlobGetReply, Fault> {
        let fails = &self.disk.blob_reads_fail;
        if fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            return Err(Fault::new(fault::IO, "cannot read the blob"));
        }
        let found = self.disk.blobs.lock().unwrap().get(&params.hash).cloned();
        let data = found.ok_or_else(|| Fault::new(fault::NOT_FOUND, "no such blob"))?;
        let bytes = data.len() as u64;
        for part in data.as_bytes().chunks(4 * 1024) {
            let data = String::from_utf8(part.to_vec()).unwrap();
            call.emit(&storage::BlobPart { data }).await?;
        }
        Ok(storage::BlobGetReply { bytes })
    }

    async fn info(self: Arc<Self>, _call: Call, _: Empty) -> Result<storage::InfoReply, Fault> {
        Ok(storage::InfoReply { durable: true, engine: "test".to_owned() })
    }
}
