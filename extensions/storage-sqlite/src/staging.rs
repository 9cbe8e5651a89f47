//! Directories in which a copy is made, beside what it is to become, and what killed processes left of theirs.
//!
//! It must not know what lies in its own. Who works in one holds its lock, which ends with the process: one whose lock is
//! free is nobody's.

use dispatch_sdk::contracts::instance::COPY_MS_MAX;
use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PREFIX: &str = ".dispatch-copy-";
/// What versions before called theirs, which held no lock, and what alone lay in one.
const PREFIX_BEFORE: &str = ".dispatch-";
const COPY_BEFORE: &str = "copy.db";
/// How often a directory may be taken for a left one in the moment before its lock is held.
const TRIES_MAX: usize = 5;

/// A directory that is there as long as this is.
pub(crate) struct Staging {
    // It goes before the lock does.
    dir: TempDir,
    /// Absent where directories cannot be locked: nothing is swept there either.
    _held: Option<File>,
}

impl Staging {
    /// Makes one in `parent`, after those that nobody holds any more were removed.
    pub(crate) fn in_dir(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        for _ in 0..TRIES_MAX {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let Ok(file) = File::open(dir.path()) else { continue };
            match file.try_lock() {
                Ok(()) if dir.path().exists() => return Ok(Self { dir, _held: Some(file) }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(_)) => return Ok(Self { dir, _held: None }),
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "others remove each directory that is made there"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what can be removed; what cannot stays for the next time.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let begins = |prefix: &str| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        let removed = match (begins(PREFIX), begins(PREFIX_BEFORE)) {
            (true, _) => remove_left(&entry),
            (false, true) => remove_left_before(&entry),
            (false, false) => continue,
        };
        if let Err(error) = removed {
            tracing::debug!(path = %entry.path().display(), %error, "what a copy left was not removed");
        }
    }
}

fn is_own_dir(entry: &DirEntry) -> io::Result<bool> {
    // Of a link, it speaks of the link.
    let found = entry.metadata()?;
    Ok(found.is_dir() && found.uid() == fs::metadata("/proc/self")?.uid())
}

/// A copy of a version before is left when nothing was written to it for longer than a copy may take.
fn remove_left_before(entry: &DirEntry) -> io::Result<()> {
    if !is_own_dir(entry)? {
        return Ok(());
    }
    let left = fs::read_dir(entry.path())?.collect::<io::Result<Vec<_>>>()?;
    if left.is_empty() || left.iter().any(|file| file.file_name() != COPY_BEFORE) {
        return Ok(());
    }
    let age = left[0].metadata()?.modified()?.elapsed().unwrap_or_default();
    if age <= Duration::from_millis(COPY_MS_MAX) {
        tracing::warn!(path = %entry.path().display(), "another backup is at work here, or was killed; then remove this");
        return Ok(());
    }
    fs::remove_dir_all(entry.path())
}

fn remove_left(entry: &DirEntry) -> io::Result<()> {
    if !is_own_dir(entry)? {
        return Ok(());
    }
    let file = File::open(entry.path())?;
    match file.try_lock() {
        Ok(()) => fs::remove_dir_all(entry.path()),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
