//! A new file that has no name until it is whole, so that a host that is killed leaves nothing behind.
//!
//! It must not know what is written. Only a rename replaces a file, and it needs a name to begin with: the file has that
//! one for a moment, the same in every directory, so that what a kill in that moment leaves is cleared by the next write.
//! A file system without unnamed files gets one with a name of its own from the start, and a kill may leave that.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// What the file is called between having no name and having its own; held by whoever has locked the directory.
pub(crate) const PASSING_NAME: &str = ".dispatch-write.tmp";

/// A file in a directory, without its name; dropped, it is gone.
pub(crate) struct Unnamed<'a> {
    dir: &'a OwnedFd,
    file: File,
    /// A name of its own that no other writer uses.
    own_name: String,
    /// It has that name already.
    is_named: bool,
}

impl<'a> Unnamed<'a> {
    /// `id` is unique.
    pub(crate) fn make(dir: &'a OwnedFd, id: &str, mode: Mode) -> io::Result<Self> {
        let own_name = format!(".dispatch-{id}.tmp");
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, is_named) = match rustix::fs::openat(dir, ".", flags | OFlags::TMPFILE, mode) {
            // Both are said by kernels and file systems that know no such files.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                (rustix::fs::openat(dir, &own_name, flags, mode)?, true)
            }
            made => (made?, false),
        };
        Ok(Self { dir, file: file.into(), own_name, is_named })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it a name that must be free.
    ///
    /// Errors: the system's; `AlreadyExists` when it is taken.
    pub(crate) fn name_anew(self, name: &OsStr) -> io::Result<()> {
        if !self.is_named {
            return Ok(self.link(name)?);
        }
        // What a rename leaves of the name of its own is cleared away with this value.
        match rustix::fs::renameat_with(self.dir, &self.own_name, self.dir, name, RenameFlags::NOREPLACE) {
            // A file system that knows no such rename; a link fails in the same way when the name is taken.
            Err(Errno::INVAL | Errno::NOSYS) => {
                Ok(rustix::fs::linkat(self.dir, &self.own_name, self.dir, name, AtFlags::empty())?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Gives it a name that may be another file's until now; `is_alone` says that nobody else writes in the directory.
    pub(crate) fn name_over(mut self, name: &OsStr, is_alone: bool) -> io::Result<()> {
        if !self.is_named {
            self.name_in_passing(is_alone)?;
            self.is_named = true;
        }
        rustix::fs::renameat(self.dir, &self.own_name, self.dir, name)?;
        self.is_named = false;
        Ok(())
    }

    fn name_in_passing(&mut self, is_alone: bool) -> io::Result<()> {
        if is_alone {
            // Whoever left one was killed: it would hold the lock.
            let _ = rustix::fs::unlinkat(self.dir, PASSING_NAME, AtFlags::empty());
            match self.link(OsStr::new(PASSING_NAME)) {
                // Another user's, in a directory where nobody clears away for others.
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
                Ok(()) => {
                    PASSING_NAME.clone_into(&mut self.own_name);
                    return Ok(());
                }
            }
        }
        Ok(self.link(OsStr::new(&self.own_name))?)
    }

    fn link(&self, name: &OsStr) -> Result<(), Errno> {
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, file, self.dir, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Unnamed<'_> {
    fn drop(&mut self) {
        if self.is_named {
            // After a rename there is nothing to remove.
            let _ = rustix::fs::unlinkat(self.dir, &self.own_name, AtFlags::empty());
        }
    }
}
