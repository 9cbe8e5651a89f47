//! Where a search begins, and how what it finds is named.
//!
//! It must not know patterns.

use rustix::fs::{OFlags, PROC_SUPER_MAGIC};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file or directory that exists, without links in its path.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) is_directory: bool,
    /// What paths are shown relative to.
    cwd: PathBuf,
}

impl Place {
    /// A link that the caller names is followed; links below are not.
    ///
    /// Errors: what the model is told.
    pub(crate) fn resolve(cwd: &str, path: &str) -> Result<Self, String> {
        let failed = |e: io::Error| format!("cannot search `{path}`: {e}");
        let root = Path::new(cwd).join(path).canonicalize().map_err(failed)?;
        let metadata = root.metadata().map_err(failed)?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(format!("cannot search `{path}`: it is a device, socket or pipe"));
        }
        if rustix::fs::statfs(&root).map_err(|e| failed(e.into()))?.f_type == PROC_SUPER_MAGIC {
            return Err(format!(
                "cannot search `{path}`: what lies in /proc is the host's own, not a tool's"
            ));
        }
        let cwd = Path::new(cwd).canonicalize().unwrap_or_else(|_| PathBuf::from(cwd));
        Ok(Self { root, is_directory: metadata.is_dir(), cwd })
    }

    /// The path for the model, on one line: below the working directory relative, otherwise absolute.
    pub(crate) fn shown(&self, path: &Path) -> String {
        let shown = match path.strip_prefix(&self.cwd) {
            Ok(below) if !below.as_os_str().is_empty() => below,
            _ => path,
        };
        one_line(&shown.to_string_lossy()).into_owned()
    }
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// `None` for anything but a regular file outside /proc, whatever it was when it was listed; opening never waits for a writer.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    // The flags are bits of a C `int`; none of these is its sign.
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    // The host's environment and memory look like files there.
    let is_of_processes = rustix::fs::fstatfs(&file)?.f_type == PROC_SUPER_MAGIC;
    Ok((!is_of_processes && file.metadata()?.is_file()).then_some(file))
}
