//! The lock file that says that this host process lives: `<state>/hosts/<host_id>.lock`.
//!
//! The lock goes with the process, however it ends. A process that was killed leaves a free file, which proves that it is
//! dead; of these the newest are kept. Where there is no file nothing is known: the host may have ended in order, or live
//! with a state directory of its own.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most files looked at when sweeping.
const SWEEP_MAX: usize = 1024;
/// Most free files that are kept as proof of a death, the newest.
const FREE_KEPT_MAX: usize = 256;
/// A sweeping process may remove the file between its making and its locking; then it is made again.
const TRIES_MAX: usize = 16;

/// The lock of this process, held until it is dropped.
pub struct HostLock {
    path: PathBuf,
    // Held open: the lock ends with it.
    _file: File,
}

impl HostLock {
    /// Takes it, and sweeps what dead hosts left.
    ///
    /// Errors: one line, with the file and what the system said.
    pub fn take(state_dir: &Path, host_id: &str) -> Result<Self, String> {
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

/// What there is of a host process's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It lives.
    Held,
    /// It is dead.
    Free,
    /// Nobody can tell.
    Missing,
}

/// Looks at the lock of the process with this id.
pub fn look(state_dir: &Path, host_id: &str) -> Result<Lock, String> {
    let plain = !host_id.is_empty() && host_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain {
        return Err(format!("`{}` is not a host id", host_id.escape_default()));
    }
    let path = state_dir.join("hosts").join(format!("{host_id}.lock"));
    match File::open(&path) {
        // Shared, so that two who ask at once do not take each other for the host.
        Ok(file) => {
            let held = is_held(file.try_lock_shared());
            let lock = held.map(|held| if held { Lock::Held } else { Lock::Free });
            lock.map_err(|e| format!("cannot look at {}: {e}", path.display()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Lock::Missing),
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
    let mut free: Vec<_> = entries
        .take(SWEEP_MAX)
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let file = File::open(&path).ok()?;
            // A host that is about to lock its new file finds it gone and makes it again.
            let free = matches!(is_held(file.try_lock()), Ok(false));
            free.then(|| (file.metadata().and_then(|there| there.modified()).ok(), path))
        })
        .collect();
    free.sort();
    for (_, path) in free.iter().rev().skip(FREE_KEPT_MAX) {
        let Ok(file) = File::open(path) else { continue };
        if matches!(is_held(file.try_lock()), Ok(false)) {
            // Removed while the lock is ours, so that nobody takes it in between.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_host_is_alive_until_its_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = HostLock::take(dir.path(), "host-1").unwrap();
        assert_eq!(look(dir.path(), "host-1"), Ok(Lock::Held));
        let other = HostLock::take(dir.path(), "host-2").unwrap();
        assert_eq!(look(dir.path(), "host-1"), Ok(Lock::Held), "sweeping leaves the living alone");
        drop(lock);
        assert_eq!(look(dir.path(), "host-1"), Ok(Lock::Missing), "it ended in order, or was never here");
        drop(other);
    }

    #[test]
    fn the_files_of_dead_hosts_prove_their_death_and_only_so_many_stay() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = dir.path().join("hosts");
        fs::create_dir(&hosts).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        for n in 0..=FREE_KEPT_MAX {
            let file = File::create(hosts.join(format!("dead-{n}.lock"))).unwrap();
            file.set_modified(long_ago + Duration::from_secs(n as u64)).unwrap();
        }
        let _lock = HostLock::take(dir.path(), "new").unwrap();
        assert_eq!(look(dir.path(), "dead-0"), Ok(Lock::Missing), "the oldest goes");
        assert_eq!(look(dir.path(), "dead-1"), Ok(Lock::Free));
        assert_eq!(look(dir.path(), &format!("dead-{FREE_KEPT_MAX}")), Ok(Lock::Free));
        assert_eq!(look(dir.path(), "new"), Ok(Lock::Held));
    }

    #[test]
    fn somebody_else_asking_is_not_the_host() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hosts")).unwrap();
        let dead = File::create(dir.path().join("hosts/dead.lock")).unwrap();
        dead.try_lock_shared().unwrap();
        assert_eq!(look(dir.path(), "dead"), Ok(Lock::Free));
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(look(dir.path(), "../x").unwrap_err().contains("not a host id"));
    }
}
