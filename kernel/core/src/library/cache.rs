//! The private copies that libraries are loaded from, named by their sha256.
//!
//! A rebuild replaces a file that nobody has mapped. A warm start finds the copy by the source's identity and hashes nothing.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most copies kept; the ones used longest ago go first.
const COPIES_MAX: usize = 256;
const INDEX_BYTES_MAX: u64 = 1024 * 1024;
const COPY_CHUNK_BYTES: usize = 256 * 1024;

static NEXT_TEMP: AtomicU64 = AtomicU64::new(0);

/// The directory of copies.
pub(crate) struct LibraryCache {
    dir: PathBuf,
}

/// A library's private copy.
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
}

/// Source identity to copy.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    files: BTreeMap<String, Entry>,
    /// Rises with each use.
    #[serde(default)]
    uses: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    used: u64,
}

impl LibraryCache {
    /// `<cache>/ext`, made with mode 0700 if need be.
    pub(crate) fn open(cache_dir: &Path) -> Result<Self, String> {
        let dir = cache_dir.join("ext");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|e| format!("cannot make the library cache {}: {e}", dir.display()))?;
        Ok(Self { dir })
    }

    /// The copy of `source`, made now if there is none of these very bytes.
    pub(crate) fn copy_of(&self, source: &Path) -> Result<Copy, String> {
        let cannot =
            |e: io::Error| format!("cannot copy {} into {}: {e}", source.display(), self.dir.display());
        let mut file = File::open(source).map_err(cannot)?;
        let identity = identity(&file).map_err(cannot)?;
        let mut index = self.read_index();
        if let Some(entry) = index.files.get(&identity) {
            let path = self.copy_path(&entry.sha256);
            // A power cut may leave a copy short under its right name.
            let whole = file.metadata().map_err(cannot)?.len();
            if fs::metadata(&path).is_ok_and(|copy| copy.is_file() && copy.len() == whole) {
                return Ok(Copy { path, sha256: entry.sha256.clone() });
            }
        }
        let sha256 = self.copy_and_hash(&mut file).map_err(cannot)?;
        index.uses += 1;
        index.files.insert(identity, Entry { sha256: sha256.clone(), used: index.uses });
        self.prune(&mut index);
        // A lost index costs the next start a hash, nothing more.
        if let Err(error) = self.write_index(&index) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot write the index of the library cache");
        }
        Ok(Copy { path: self.copy_path(&sha256), sha256 })
    }

    fn copy_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.so"))
    }

    /// Hashes what it writes: the copy's name is true whatever happens to the source meanwhile.
    fn copy_and_hash(&self, source: &mut File) -> io::Result<String> {
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
        let done = copied.and_then(|()| fs::rename(&temp_path, self.copy_path(&sha256)));
        if let Err(e) = done {
            // What cannot be removed is overwritten by nobody and found by nobody.
            let _ = fs::remove_file(&temp_path);
            return Err(e);
        }
        Ok(sha256)
    }

    fn temp_file(&self) -> io::Result<(PathBuf, File)> {
        let n = NEXT_TEMP.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{}-{n}.tmp", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    /// An index that cannot be read is an empty one.
    fn read_index(&self) -> Index {
        let Ok(file) = File::open(self.index_path()) else { return Index::default() };
        let mut bytes = Vec::new();
        if file.take(INDEX_BYTES_MAX).read_to_end(&mut bytes).is_err() {
            return Index::default();
        }
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write_index(&self, index: &Index) -> io::Result<()> {
        let (temp_path, mut temp) = self.temp_file()?;
        temp.write_all(&serde_json::to_vec(index)?)?;
        fs::rename(temp_path, self.index_path())
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    fn prune(&self, index: &mut Index) {
        while index.files.len() > COPIES_MAX {
            let oldest = index.files.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(entry) = oldest.and_then(|key| index.files.remove(&key)) else { return };
            if index.files.values().all(|other| other.sha256 != entry.sha256) {
                // A process that has it mapped keeps it; nobody else needs it.
                let _ = fs::remove_file(self.copy_path(&entry.sha256));
            }
        }
    }
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_copy_is_found_without_the_bytes_and_a_rebuild_makes_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path()).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        let first = cache.copy_of(&source).unwrap();
        assert_eq!(first.sha256, hex(&Sha256::digest(b"one")));
        // Damage the copy: a warm start must trust the index and not read it.
        fs::write(&first.path, b"xxx").unwrap();
        assert_eq!(fs::read(cache.copy_of(&source).unwrap().path).unwrap(), b"xxx");
        fs::remove_file(&source).unwrap();
        fs::write(&source, b"two!").unwrap();
        let second = cache.copy_of(&source).unwrap();
        assert_ne!(second.path, first.path);
        assert_eq!(fs::read(second.path).unwrap(), b"two!");
        assert!(first.path.is_file(), "a process may still have the old one mapped");
    }

    #[test]
    fn a_copy_that_was_cut_short_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path()).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        let first = cache.copy_of(&source).unwrap();
        fs::write(&first.path, b"").unwrap();
        assert_eq!(fs::read(cache.copy_of(&source).unwrap().path).unwrap(), b"one");
    }

    #[test]
    fn a_damaged_index_costs_a_hash_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path()).unwrap();
        let source = dir.path().join("lib.so");
        fs::write(&source, b"one").unwrap();
        cache.copy_of(&source).unwrap();
        fs::write(dir.path().join("ext/index.json"), b"{\"files\":[").unwrap();
        assert_eq!(fs::read(cache.copy_of(&source).unwrap().path).unwrap(), b"one");
    }

    #[test]
    fn copies_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LibraryCache::open(dir.path()).unwrap();
        for n in 0..COPIES_MAX + 3 {
            let source = dir.path().join(format!("{n}.so"));
            fs::write(&source, n.to_string()).unwrap();
            cache.copy_of(&source).unwrap();
        }
        let copies = fs::read_dir(dir.path().join("ext")).unwrap().count();
        assert_eq!(copies, COPIES_MAX + 1, "copies and the index");
    }
}
