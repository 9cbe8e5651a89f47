//! One directory of a walk, held by its descriptor: what lies in it is reached from there, through no link.
//!
//! It must not know patterns. A directory that is swapped for a link during the walk leads nowhere, and what is opened was
//! looked at before, and is that very thing: a second descriptor on a database of this process would, closed, drop the
//! locks of the first.

use crate::barred::Barred;
use crate::seen::{LOOK, real_path, reopen};
use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(crate) struct Folder<'a> {
    barred: &'a Barred,
    dir: OwnedFd,
    /// Where it lies, without links.
    pub(crate) path: PathBuf,
    device: u64,
    /// Whether something below it may be out of reach by its name.
    is_near: bool,
}

/// Something in a directory, looked at and in reach.
pub(crate) struct Seen {
    seen: File,
    found: Metadata,
}

impl<'a> Folder<'a> {
    /// A directory that was looked at and is in reach.
    pub(crate) fn new(dir: OwnedFd, path: PathBuf, barred: &'a Barred) -> io::Result<Self> {
        let seen = File::from(dir);
        let device = seen.metadata()?.dev();
        Ok(Self { barred, device, is_near: barred.is_near(&path), path, dir: seen.into() })
    }

    /// The directory above; absent when that is out of reach.
    pub(crate) fn above(&self) -> Option<Self> {
        let dir = rustix::fs::openat(&self.dir, "..", LOOK | OFlags::DIRECTORY, Mode::empty()).ok()?;
        let path = real_path(&dir).ok()?;
        self.barred.check_path(&path).ok()?;
        Self::new(dir, path, self.barred).ok()
    }

    /// Its names can be read from this one.
    pub(crate) fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, ".", flags, Mode::empty())?)
    }

    /// What stands under a name in it, a link as itself. Nothing is opened.
    ///
    /// Errors: the system's; `PermissionDenied` for what is out of reach.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Seen> {
        let seen = look_in(&self.dir, name)?;
        let found = seen.metadata()?;
        self.barred.check_in(self.is_near.then(|| self.path.join(name)).as_deref(), &found)?;
        // /proc shows the host's own process, its environment and memory among the rest.
        if found.dev() != self.device && is_proc(&seen)? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Seen { seen, found })
    }

    /// A regular file some names below, none of them a link.
    pub(crate) fn open_below(&self, below: &str) -> io::Result<Option<File>> {
        let Some((name, rest)) = below.split_once('/') else {
            return self.look(OsStr::new(below))?.open_regular();
        };
        match self.enter(OsStr::new(name))? {
            Some(folder) => folder.open_below(rest),
            None => Ok(None),
        }
    }

    /// The directory of that name in it; `None` when it is none, a link among the rest.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let Seen { seen, found } = self.look(name)?;
        if !found.is_dir() {
            return Ok(None);
        }
        Self::new(seen.into(), self.path.join(name), self.barred).map(Some)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        look_in(&self.dir, OsStr::new(name)).is_ok()
    }
}

impl Seen {
    pub(crate) fn is_dir(&self) -> bool {
        self.found.is_dir()
    }

    /// `None` for anything but a regular file, whatever it was when it was listed.
    pub(crate) fn open_regular(self) -> io::Result<Option<File>> {
        if self.found.is_file() { open(self.seen).map(Some) } else { Ok(None) }
    }
}

/// Opens a regular file that was looked at.
pub(crate) fn open(seen: impl AsFd) -> io::Result<File> {
    Ok(reopen(seen, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?.into())
}

pub(crate) fn is_proc(seen: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(seen)?.f_type == PROC_SUPER_MAGIC)
}

fn look_in(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    Ok(File::from(rustix::fs::openat(dir, name, LOOK | OFlags::NOFOLLOW, Mode::empty())?))
}

/// Where ignore files end to count: at the root of the repository that a directory lies in, or, outside of any, at the
/// working directory if that lies above it; never above `confines`.
pub(crate) fn top(root: &Path, cwd: &Path, confines: Option<&Path>) -> PathBuf {
    let is_inside = |at: &Path| confines.is_none_or(|confines| at.starts_with(confines));
    let mut above = root.ancestors().take_while(|at| is_inside(at));
    let repository = above.find(|at| at.join(".git").symlink_metadata().is_ok());
    let is_cwd_above = root.starts_with(cwd) && is_inside(cwd);
    repository.unwrap_or(if is_cwd_above { cwd } else { root }).to_owned()
}
