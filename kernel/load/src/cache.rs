//! The private copies that libraries are loaded from, named by their sha256.
//!
//! A rebuild replaces a file that nobody has mapped. A warm start finds the copy by the source's identity and hashes nothing;
//! a copy that is not the file which was written here any more is made again.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most copies kept; the ones used longest ago go first.
const COPIES_MAX: usize = 256;
/// Most hosts whose admissions are kept; then all are forgotten, which costs each of them one check more.
const HOSTS_MAX: usize = 16;
const INDEX_BYTES_MAX: u64 = 1024 * 1024;
const COPY_CHUNK_BYTES: usize = 256 * 1024;

static NEXT_TEMP: AtomicU64 = AtomicU64::new(0);

/// The directory of copies.
pub struct LibraryCache {
    dir: PathBuf,
    /// Which host this is: its binary's identity. Empty = unknown, and then no layout counts as known.
    host: String,
    /// As last read or written here; other processes write it too.
    index: Mutex<Index>,
}

/// A library's private copy.
pub(crate) struct Copy {
    pub path: PathBuf,
    pub sha256: String,
    /// This very host has checked the layout of these very bytes before.
    pub admitted: bool,
}

/// Source identity to copy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    files: BTreeMap<String, Entry>,
    /// The identity of each copy as it was written, by its hash.
    #[serde(default)]
    copies: BTreeMap<String, String>,
    /// Hashes of the copies whose layout a host has admitted, by the host.
    #[serde(default)]
    admitted: BTreeMap<String, BTreeSet<String>>,
    /// Rises with each use.
    #[serde(default)]
    uses: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    used: u64,
}

impl LibraryCache {
    /// `<cache>/ext`, made with mode 0700 if need be; `exe` is the host's own binary.
    pub fn open(cache_dir: &Path, exe: &Path) -> Result<Self, String> {
        let dir = cache_dir.join("ext");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|e| format!("cannot make the library cache {}: {e}", dir.display()))?;
        let host = File::open(exe).and_then(|exe| identity(&exe)).unwrap_or_default();
        let index = Mutex::new(read_index(&dir));
        Ok(Self { dir, host, index })
    }

    /// The copy of `source`, made now if there is none of these very bytes.
    pub(crate) fn copy_of(&self, source: &Path) -> Result<Copy, String> {
        let cannot =
            |e: io::Error| format!("cannot copy {} into {}: {e}", source.display(), self.dir.display());
        let mut file = File::open(source).map_err(cannot)?;
        let identity = identity(&file).map_err(cannot)?;
        if let Some(sha256) = self.warm(&identity) {
            let admitted = self.is_admitted(&sha256);
            return Ok(Copy { path: self.copy_path(&sha256), sha256, admitted });
        }
        let (sha256, copy) = self.copy_and_hash(&mut file).map_err(cannot)?;
        self.change(|index| {
            index.uses += 1;
            let used = index.uses;
            index.copies.insert(sha256.clone(), copy);
            index.files.insert(identity, Entry { sha256: sha256.clone(), used });
            self.prune(index);
        });
        let admitted = self.is_admitted(&sha256);
        Ok(Copy { path: self.copy_path(&sha256), sha256, admitted })
    }

    /// The hash of the copy of a source that is known, if the copy is still the very file that was written: a power cut
    /// may have left it short, and somebody may have changed it.
    fn warm(&self, identity: &str) -> Option<String> {
        let (sha256, written) = {
            let index = self.lock();
            let sha256 = &index.files.get(identity)?.sha256;
            (sha256.clone(), index.copies.get(sha256)?.clone())
        };
        (copy_identity(&self.copy_path(&sha256)).ok()? == written).then_some(sha256)
    }

    /// Notes that this host has checked the layout of this copy.
    pub(crate) fn note_admitted(&self, sha256: &str) {
        if self.host.is_empty() {
            return;
        }
        self.change(|index| {
            if index.admitted.len() >= HOSTS_MAX && !index.admitted.contains_key(&self.host) {
                index.admitted.clear();
            }
            index.admitted.entry(self.host.clone()).or_default().insert(sha256.to_owned());
            let kept: BTreeSet<&String> = index.files.values().map(|entry| &entry.sha256).collect();
            let gone = |known: &BTreeSet<String>| {
                known.iter().filter(|sha256| !kept.contains(sha256)).cloned().collect()
            };
            let gone: Vec<BTreeSet<String>> = index.admitted.values().map(gone).collect();
            for (known, gone) in index.admitted.values_mut().zip(gone) {
                known.retain(|sha256| !gone.contains(sha256));
            }
        });
    }

    fn is_admitted(&self, sha256: &str) -> bool {
        !self.host.is_empty()
            && self.lock().admitted.get(&self.host).is_some_and(|known| known.contains(sha256))
    }

    /// Changes the index as it is on the disk now. A lost index costs the next start a hash, nothing more.
    fn change(&self, change: impl FnOnce(&mut Index)) {
        let mut index = self.lock();
        *index = read_index(&self.dir);
        change(&mut index);
        if let Err(error) = self.write_index(&index) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot write the index of the library cache");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.so"))
    }

    /// Hashes what it writes: the copy's name is true whatever happens to the source meanwhile.
    /// Answers the hash and the copy's identity.
    fn copy_and_hash(&self, source: &mut File) -> io::Result<(String, String)> {
        let (temp_path, mut temp) = self.temp_file()?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; COPY_CHUNK_BYTES];
        let copied = loop {
            match source.read(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    hasher.update(&chunk[..n]);
                    if let Err(e) = temp.write_all(&chunk[..n]) {
                        break Err(e);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        let sha256 = hex(&hasher.finalize());
        let path = self.copy_path(&sha256);
        if let Err(e) = copied.and_then(|()| fs::rename(&temp_path, &path)) {
            // What cannot be removed is overwritten by nobody and found by nobody.
            let _ = fs::remove_file(&temp_path);
            return Err(e);
        }
        let copy = copy_identity(&path)?;
        Ok((sha256, copy))
    }

    fn temp_file(&self) -> io::Result<(PathBuf, File)> {
        let n = NEXT_TEMP.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{}-{n}.tmp", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    fn write_index(&self, index: &Index) -> io::Result<()> {
        let (temp_path, mut temp) = self.temp_file()?;
        let written = serde_json::to_vec(index).map_err(io::Error::from);
        let named = written
            .and_then(|json| temp.write_all(&json))
            .and_then(|()| fs::rename(&temp_path, index_path(&self.dir)));
        if named.is_err() {
            // On a full disk each start would leave one more.
            let _ = fs::remove_file(&temp_path);
        }
        named
    }

    fn prune(&self, index: &mut Index) {
        while index.files.len() > COPIES_MAX {
            let oldest = index.files.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(entry) = oldest.and_then(|key| index.files.remove(&key)) else { return };
            if index.files.values().all(|other| other.sha256 != entry.sha256) {
                // A process that has it mapped keeps it; nobody else needs it.
                let _ = fs::remove_file(self.copy_path(&entry.sha256));
                index.copies.remove(&entry.sha256);
            }
        }
    }
}

fn index_path(dir: &Path) -> PathBuf {
    dir.join("index.json")
}

/// An index that cannot be read is an empty one.
fn read_index(dir: &Path) -> Index {
    let Ok(file) = File::open(index_path(dir)) else { return Index::default() };
    let mut bytes = Vec::new();
    if file.take(INDEX_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return Index::default();
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn identity(file: &File) -> io::Result<String> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(format!(
        "{}:{}:{}:{}.{}:{}.{}",
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    ))
}

fn copy_identity(path: &Path) -> io::Result<String> {
    identity(&File::open(path)?)
}

/// The SHA-256 of `bytes` in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_copy_is_found_without_the_bytes_and_a_rebuild_makes_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path(), Path::new("")).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        let first = cache.copy_of(&source).unwrap();
        assert_eq!(first.sha256, hex(&Sha256::digest(b"one")));
        let written = copy_identity(&first.path).unwrap();
        let warm = LibraryCache::open(dir.path(), Path::new("")).unwrap().copy_of(&source).unwrap();
        assert_eq!(
            (copy_identity(&warm.path).unwrap(), warm.sha256),
            (written, first.sha256),
            "not written again"
        );
        fs::remove_file(&source).unwrap();
        fs::write(&source, b"two!").unwrap();
        let second = cache.copy_of(&source).unwrap();
        assert_ne!(second.path, first.path);
        assert_eq!(fs::read(second.path).unwrap(), b"two!");
        assert!(first.path.is_file(), "a process may still have the old one mapped");
    }

    #[test]
    fn a_copy_that_was_cut_short_or_changed_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path(), Path::new("")).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        let first = cache.copy_of(&source).unwrap();
        for wrong in [b"".as_slice(), b"eno"] {
            fs::write(&first.path, wrong).unwrap();
            // Long ago, whatever the resolution of the file system's clock.
            File::options()
                .write(true)
                .open(&first.path)
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap();
            assert_eq!(fs::read(cache.copy_of(&source).unwrap().path).unwrap(), b"one");
        }
    }

    #[test]
    fn two_sources_of_the_same_bytes_share_a_copy_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path(), Path::new("")).unwrap();
        let sources = ["a.so", "b.so"].map(|name| dir.path().join(name));
        for source in &sources {
            fs::write(source, b"one").unwrap();
            cache.copy_of(source).unwrap();
        }
        let written = copy_identity(&cache.copy_of(&sources[1]).unwrap().path).unwrap();
        assert_eq!(copy_identity(&cache.copy_of(&sources[0]).unwrap().path).unwrap(), written);
    }

    #[test]
    fn a_damaged_index_costs_a_hash_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path(), Path::new("")).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        cache.copy_of(&source).unwrap();
        fs::write(dir.path().join("ext/index.json"), b"{\"files\":[").unwrap();
        assert_eq!(fs::read(cache.copy_of(&source).unwrap().path).unwrap(), b"one");
    }

    #[test]
    fn a_layout_is_known_to_the_host_that_checked_it_and_to_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (source, host) = (dir.path().join("lib.so"), dir.path().join("host"));
        fs::write(&source, b"one").unwrap();
        fs::write(&host, b"host").unwrap();
        let admitted = |exe: &Path| {
            let cache = LibraryCache::open(dir.path(), exe).unwrap();
            let copy = cache.copy_of(&source).unwrap();
            cache.note_admitted(&copy.sha256);
            copy.admitted
        };
        assert_eq!([admitted(&host), admitted(&host)], [false, true]);
        assert_eq!([admitted(Path::new("")), admitted(Path::new(""))], [false, false], "a host nobody knows");
        fs::write(&host, b"another build of it").unwrap();
        assert!(!admitted(&host));
        fs::write(&source, b"two!").unwrap();
        assert!(!admitted(&host), "other bytes");
    }

    #[test]
    fn copies_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path(), Path::new("")).unwrap();
        for n in 0..COPIES_MAX + 3 {
            let source = dir.path().join(format!("{n}.so"));
            fs::write(&source, n.to_string()).unwrap();
            cache.copy_of(&source).unwrap();
        }
        let copies = fs::read_dir(dir.path().join("ext")).unwrap().count();
        assert_eq!(copies, COPIES_MAX + 1, "copies and the index");
    }
}
