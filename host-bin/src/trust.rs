//! Which directories a person trusts, and what their files were then: `<data>/trusted.json`, read again whenever it has
//! changed.
//!
//! A directory is trusted if it, with every link resolved, is listed or lies below one that is. A file in it acts only as
//! it was when the person looked: its content is bound by its hash. What a directory says of itself counts for nothing: no
//! `.git` file, no link, no name lends it another one's trust.

use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::Trust;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes of the file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most directories in it.
pub(crate) const DIRS_MAX: usize = 4096;
/// Most files whose content is bound.
const FILES_MAX: usize = 8192;
/// Longest wait for another process that changes it, and how often it is looked at.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_LOOK: Duration = Duration::from_millis(10);

/// What nobody but its user may do with it: whatever another hand wrote lends no trust.
const OTHERS: u32 = 0o077;

/// The file, and what it said when it was last looked at.
pub(crate) struct TrustFile {
    path: PathBuf,
    /// The host's own configuration: whoever writes there is the person whose trust it is.
    own: PathBuf,
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    stamp: Stamp,
    trusted: Trusted,
}

/// What is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// Directories, with what lies below them.
    pub(crate) dirs: BTreeSet<PathBuf>,
    /// Files below them that may act, and the SHA-256 of their content in lower-case hex.
    pub(crate) files: BTreeMap<PathBuf, String>,
}

/// Which file it was: device, inode, size, and both times in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl TrustFile {
    pub(crate) fn of(dirs: &Dirs) -> Self {
        Self {
            path: Path::new(&dirs.data).join("trusted.json"),
            own: PathBuf::from(&dirs.config),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that is trusted.
    ///
    /// Errors: the file cannot be believed; then nothing is trusted.
    pub(crate) fn trusted(&self) -> Result<Trusted, String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let cannot = |what: String| format!("cannot use {}: {what}", self.path.display());
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Trusted::default()),
            Err(e) => return Err(cannot(e.to_string())),
        };
        let stamp = stamp(&meta);
        if let Some(seen) = seen.as_ref().filter(|seen| seen.stamp == stamp) {
            return Ok(seen.trusted.clone());
        }
        let trusted = read(&self.path).map_err(cannot)?;
        *seen = Some(Seen { stamp, trusted: trusted.clone() });
        Ok(trusted)
    }

    /// Adds and removes, under a lock, and answers what is trusted from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Trusted)) -> Result<Trusted, String> {
        let cannot = |e: io::Error| format!("cannot change {}: {e}", self.path.display());
        let _lock = lock(&self.path.with_extension("lock")).map_err(cannot)?;
        let mut trusted = self.trusted()?;
        change(&mut trusted);
        for (what, listed, most) in
            [("directories", trusted.dirs.len(), DIRS_MAX), ("files", trusted.files.len(), FILES_MAX)]
        {
            if listed > most {
                let path = self.path.display();
                return Err(format!("{path} would list {listed} {what}, at most {most} are; revoke some"));
            }
        }
        write(&self.path, &trusted).map_err(cannot)?;
        Ok(trusted)
    }

    /// The listed directory that makes `dir`, which holds no link, trusted.
    fn listed_above(&self, dir: &Path) -> Option<PathBuf> {
        let dirs = self.believed().dirs;
        dir.ancestors().find(|above| dirs.contains(*above)).map(Path::to_owned)
    }

    /// What is trusted; nothing, if the file cannot be believed.
    fn believed(&self) -> Trusted {
        self.trusted().unwrap_or_else(|reason| {
            tracing::warn!(reason, "no project is trusted");
            Trusted::default()
        })
    }

    fn is_own(&self, dir: &Path) -> bool {
        fs::canonicalize(&self.own).is_ok_and(|own| dir == own)
    }
}

impl Trust for TrustFile {
    fn trusts(&self, dir: &Path) -> bool {
        let Ok(dir) = fs::canonicalize(dir) else { return false };
        dir.is_dir() && (self.is_own(&dir) || self.listed_above(&dir).is_some())
    }

    fn trusts_file(&self, file: &Path, sha256: &str) -> bool {
        // Links are followed: what counts is where the content lies.
        let Ok(file) = fs::canonicalize(file) else { return false };
        let Some(dir) = file.parent() else { return false };
        if self.is_own(dir) {
            return true;
        }
        self.listed_above(dir).is_some()
            && self.believed().files.get(&file).is_some_and(|known| known == sha256)
    }
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

fn read(path: &Path) -> Result<Trusted, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & OTHERS != 0 {
        return Err(format!(
            "it was not written by `dispatch trust`: it must be a file of this user alone (mode 0600), and is one of the \
             user {} with mode {:04o}; look at what it lists, then move it away, or `chmod 600` it",
            meta.uid(),
            meta.mode() & 0o7777
        ));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    let damaged = "it is damaged; move it away and trust again what you trust";
    let document: Value = serde_json::from_slice(&bytes).map_err(|e| format!("{damaged} ({e})"))?;
    let listed = document.get("directories").and_then(Value::as_array).ok_or(damaged)?;
    let dirs: Option<BTreeSet<PathBuf>> = listed.iter().map(|dir| dir.as_str().map(PathBuf::from)).collect();
    let dirs = dirs.ok_or(damaged)?;
    // Absent in what was written before contents were bound: then every file is asked about again.
    let listed = match document.get("files") {
        None => Map::new(),
        Some(files) => files.as_object().ok_or(damaged)?.clone(),
    };
    let file = |(path, hash): (String, Value)| Some((PathBuf::from(path), hash.as_str()?.to_owned()));
    let files: Option<BTreeMap<PathBuf, String>> = listed.into_iter().map(file).collect();
    let files = files.ok_or(damaged)?;
    let absolute = dirs.iter().chain(files.keys()).all(|path| path.is_absolute());
    if dirs.len() > DIRS_MAX || files.len() > FILES_MAX || !absolute {
        return Err(damaged.to_owned());
    }
    Ok(Trusted { dirs, files })
}

/// Whole or not at all: a new file under the old name.
fn write(path: &Path, trusted: &Trusted) -> io::Result<()> {
    let listed: Vec<String> = trusted.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let files: BTreeMap<String, &String> =
        trusted.files.iter().map(|(path, hash)| (path.display().to_string(), hash)).collect();
    let text = format!("{:#}\n", json!({ "directories": listed, "files": files }));
    let temp = path.with_extension("json.new");
    // What a process that died left behind is in nobody's way: the lock is ours.
    let _ = fs::remove_file(&temp);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temp, path)
}

/// Two that change the file at once wait for each other; the lock goes with the process.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => std::thread::sleep(LOCK_LOOK),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(format!(
                    "another process has held {} for {} s",
                    path.display(),
                    LOCK_WAIT.as_secs()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests;
