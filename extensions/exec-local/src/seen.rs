//! A look at what a path names, which opens nothing: where that really lies, and the very thing opened afterwards.
//!
//! It must not know what may be reached.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Links to somewhere else that are followed from a name to its file.
pub(crate) const LINKS_MAX: usize = 8;
/// A look at what is there, which opens nothing.
pub(crate) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens the very thing that was looked at.
pub(crate) fn reopen(seen: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    let name = format!("/proc/self/fd/{}", seen.as_fd().as_raw_fd());
    rustix::fs::open(name, flags | OFlags::CLOEXEC, Mode::empty()).map_err(without_proc)
}

/// Where something that was looked at lies, without links.
pub(crate) fn real_path(seen: impl AsFd) -> io::Result<PathBuf> {
    let name = format!("/proc/self/fd/{}", seen.as_fd().as_raw_fd());
    let path = rustix::fs::readlink(name, Vec::new()).map_err(without_proc)?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// Where an absolute path lies without links, or would once what is missing of it is made.
pub(crate) fn lies_at(path: &Path) -> PathBuf {
    let mut at = path.to_owned();
    for _ in 0..=LINKS_MAX {
        let there = |above: &Path| Some((above.canonicalize().ok()?, at.strip_prefix(above).ok()?));
        let Some((real, missing)) = at.ancestors().find_map(there) else { break };
        let mut parts = missing.components();
        let Some(first) = parts.next() else { return real };
        // A link to nothing leads to where it would be made.
        match fs::read_link(real.join(first)) {
            Ok(says) => at = real.join(says).join(parts.as_path()),
            Err(_) => return real.join(missing),
        }
    }
    at
}

fn without_proc(error: Errno) -> io::Error {
    match error {
        Errno::NOENT => io::Error::other("/proc is not mounted, and without it no file is opened"),
        error => error.into(),
    }
}
