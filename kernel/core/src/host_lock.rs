//! The lock file that says that this host process lives: `<state>/hosts/<host_id>.lock`.
//!
//! The lock goes with the process, however it ends. A process that is gone leaves a free file, which the next one sweeps.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most files looked at when sweeping.
const SWEEP_MAX: usize = 1024;
/// A sweeping process may remove the file between its making and its locking; then it is made again.
const TRIES_MAX: usize = 16;

pub(crate) struct HostLock {
    path: PathBuf,
    // Held open: the lock ends with it.
    _file: File,
}

impl HostLock {
    pub(crate) fn take(state_dir: &Path, host_id: &str) -> Result<Self, String> {
        let dir = state_dir.join("hosts");
        let cannot = |e: io::Error| format!("cannot lock {}/{host_id}.lock: {e}", dir.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(cannot)?;
        sweep(&dir);
        let path = dir.join(format!("{host_id}.lock"));
        for _ in 0..TRIES_MAX {
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(cannot)?;
            file.lock().map_err(cannot)?;
            let ours = file.metadata().map_err(cannot)?.ino();
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                return Ok(Self { path, _file: file });
            }
        }
        Err(format!("cannot lock {}: it was removed {TRIES_MAX} times while being made", path.display()))
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // A file that stays is swept by the next host.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the process with this id holds its lock.
pub(crate) fn is_alive(state_dir: &Path, host_id: &str) -> Result<bool, String> {
    let plain = !host_id.is_empty() && host_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain {
        return Err(format!("`{}` is not a host id", host_id.escape_default()));
    }
    let path = state_dir.join("hosts").join(format!("{host_id}.lock"));
    match File::open(&path) {
        // Shared, so that two who ask at once do not take each other for the host.
        Ok(file) => {
            is_held(file.try_lock_shared()).map_err(|e| format!("cannot look at {}: {e}", path.display()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(format!("cannot look at {}: {e}", path.display())),
    }
}

fn is_held(tried: Result<(), TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.take(SWEEP_MAX).filter_map(Result::ok) {
        let Ok(file) = File::open(entry.path()) else { continue };
        if matches!(is_held(file.try_lock()), Ok(false)) {
            // Removed while the lock is ours, so that nobody takes it in between.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_alive_until_its_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = HostLock::take(dir.path(), "host-1").unwrap();
        assert_eq!(is_alive(dir.path(), "host-1"), Ok(true));
        let other = HostLock::take(dir.path(), "host-2").unwrap();
        assert_eq!(is_alive(dir.path(), "host-1"), Ok(true), "sweeping leaves the living alone");
        drop(lock);
        assert_eq!(is_alive(dir.path(), "host-1"), Ok(false));
        drop(other);
    }

    #[test]
    fn the_file_of_a_dead_host_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hosts")).unwrap();
        fs::write(dir.path().join("hosts/dead.lock"), b"").unwrap();
        assert_eq!(is_alive(dir.path(), "dead"), Ok(false));
        let _lock = HostLock::take(dir.path(), "new").unwrap();
        assert!(!dir.path().join("hosts/dead.lock").exists());
    }

    #[test]
    fn somebody_else_asking_is_not_the_host() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hosts")).unwrap();
        let dead = File::create(dir.path().join("hosts/dead.lock")).unwrap();
        dead.try_lock_shared().unwrap();
        assert_eq!(is_alive(dir.path(), "dead"), Ok(false));
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_alive(dir.path(), "../x").unwrap_err().contains("not a host id"));
    }
}
