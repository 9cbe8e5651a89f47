//! Where a search begins, and how what it finds is named.
//!
//! It must not know patterns. What is opened or named was looked at before, and is that very thing: a directory swapped for
//! a link during the walk gives nothing away of what `exec.v1` keeps out of reach (`barred.rs`), nor does one that is
//! mounted twice. Where `exec.v1` is confined to roots a look goes out from a root's descriptor and through no link.

use crate::barred::Barred;
use dispatch_sdk::contracts::exec::RootsReply;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Nothing leads out, and no link is followed: what a walk finds has none in its path.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// From where a search is asked for.
pub(crate) struct Origin<'a> {
    pub(crate) cwd: &'a str,
    /// What `exec.v1` says may be read.
    pub(crate) reach: &'a RootsReply,
}

/// A file or directory that exists, without links in its path.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) is_directory: bool,
    /// What paths are shown relative to.
    cwd: PathBuf,
    /// What a walk passes over.
    pub(crate) barred: Arc<Barred>,
    /// The root of `exec.v1` that it lies in; absent = it may read the whole machine.
    confined: Option<Arc<Confined>>,
}

/// Opens what a walk finds, for whoever outlives the borrow of a place.
#[derive(Clone)]
pub(crate) struct Opener {
    barred: Arc<Barred>,
    confined: Option<Arc<Confined>>,
}

struct Confined {
    path: PathBuf,
    dir: OwnedFd,
}

impl Place {
    /// A link that the caller names is followed; links below are not.
    ///
    /// Errors: what the model is told.
    pub(crate) fn resolve(origin: &Origin<'_>, path: &str) -> Result<Self, String> {
        let Origin { cwd, reach } = *origin;
        let roots = reach.roots.as_deref();
        let barred = Barred::new(reach);
        let failed = |e: io::Error| format!("cannot search `{path}`: {e}");
        let outside = |roots: &[String]| {
            let roots: Vec<String> = roots.iter().map(|root| format!("`{root}`")).collect();
            format!("cannot search `{path}`: it lies outside the roots: {}", roots.join(", "))
        };
        let cwd = match Path::new(cwd).canonicalize() {
            Ok(cwd) => cwd,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !Path::new(path).is_absolute() => {
                let found = format!("there is no working directory `{cwd}`, or none any more");
                return Err(format!("cannot search `{path}`: {found}"));
            }
            Err(_) => PathBuf::from(cwd),
        };
        // Whether there is something in such a place is not told either.
        let is_kept = |found: &Path| match barred.refuses(found) {
            Some(why) => Err(format!("cannot search `{path}`: {why}")),
            None => Ok(()),
        };
        let named = cwd.join(path);
        is_kept(&named)?;
        let root = match (named.canonicalize(), roots) {
            (Ok(root), _) => root,
            // Whether there is something outside is not told.
            (Err(_), Some(roots)) if !is_named_inside(&named, roots) => return Err(outside(roots)),
            (Err(e), _) => return Err(failed(e)),
        };
        is_kept(&root)?;
        let confined = match roots {
            None => None,
            Some(roots) => {
                let found = roots.iter().map(PathBuf::from).find(|confines| root.starts_with(confines));
                let path = found.ok_or_else(|| outside(roots))?;
                let dir = look(&path).map_err(failed)?;
                Some(Arc::new(Confined { path, dir }))
            }
        };
        let seen = match &confined {
            Some(confined) => confined.open(&root, LOOK),
            None => look(&root),
        };
        let seen = File::from(seen.map_err(failed)?);
        is_kept(&real_path(&seen).map_err(failed)?)?;
        let metadata = seen.metadata().map_err(failed)?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(format!("cannot search `{path}`: it is a device, socket or pipe"));
        }
        if rustix::fs::fstatfs(&seen).map_err(|e| failed(e.into()))?.f_type == PROC_SUPER_MAGIC {
            return Err(format!(
                "cannot search `{path}`: what lies in /proc is the host's own, not a tool's"
            ));
        }
        Ok(Self { root, is_directory: metadata.is_dir(), cwd, barred: Arc::new(barred), confined })
    }

    /// As [`Opener::open_regular`].
    pub(crate) fn open_regular(&self, path: &Path) -> io::Result<Option<File>> {
        self.opener().open_regular(path)
    }

    pub(crate) fn opener(&self) -> Opener {
        Opener { barred: Arc::clone(&self.barred), confined: self.confined.clone() }
    }

    /// Where ignore files end to count: at the root of the repository that it lies in, or, outside of any, at the working
    /// directory if that lies above it; never above a root that confines it.
    pub(crate) fn top(&self) -> PathBuf {
        let confines = self.confined.as_ref().map(|confined| confined.path.as_path());
        let mut above = self.root.ancestors().take_while(|at| confines.is_none_or(|top| at.starts_with(top)));
        let repository = above.find(|at| is_repository(at)).map(Path::to_owned);
        repository.unwrap_or_else(|| {
            let is_above =
                self.root.starts_with(&self.cwd) && confines.is_none_or(|top| self.cwd.starts_with(top));
            if is_above { self.cwd.clone() } else { self.root.clone() }
        })
    }

    /// Whether a name that a walk has found may be told: it is still there, in reach.
    pub(crate) fn is_inside(&self, path: &Path) -> bool {
        self.opener().look(path).is_ok()
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

/// Whether version control begins there; in a worktree or a submodule `.git` is a file.
pub(crate) fn is_repository(dir: &Path) -> bool {
    dir.join(".git").symlink_metadata().is_ok()
}

impl Opener {
    /// `None` for anything but a regular file outside /proc, whatever it was when it was listed; only such a file is
    /// opened at all: a second descriptor on a database of this process would, closed, drop the locks of the first.
    ///
    /// Errors: the system's; `PermissionDenied` for what is out of reach.
    pub(crate) fn open_regular(&self, path: &Path) -> io::Result<Option<File>> {
        let seen = self.look(path)?;
        let found = seen.metadata()?;
        if found.is_symlink() {
            return Err(Errno::LOOP.into());
        }
        // The host's environment and memory look like files there.
        if !found.is_file() || rustix::fs::fstatfs(&seen)?.f_type == PROC_SUPER_MAGIC {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(name_of(&seen), flags, Mode::empty()).map_err(without_proc)?;
        Ok(Some(file.into()))
    }

    /// What a path is now, a link as itself, if it is in reach; nothing is opened.
    fn look(&self, path: &Path) -> io::Result<File> {
        let seen = File::from(match &self.confined {
            Some(confined) => confined.open(path, LOOK | OFlags::NOFOLLOW)?,
            None => rustix::fs::openat(CWD, path, LOOK | OFlags::NOFOLLOW, Mode::empty())?,
        });
        match self.barred.refuses(&real_path(&seen)?) {
            Some(_) => Err(io::ErrorKind::PermissionDenied.into()),
            None => Ok(seen),
        }
    }
}

/// The very thing that was looked at, whatever its name has become.
fn name_of(seen: &File) -> String {
    format!("/proc/self/fd/{}", seen.as_raw_fd())
}

/// Where something that was looked at lies, without links.
fn real_path(seen: &File) -> io::Result<PathBuf> {
    let path = rustix::fs::readlink(name_of(seen), Vec::new()).map_err(without_proc)?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

fn without_proc(error: Errno) -> io::Error {
    match error {
        Errno::NOENT => io::Error::other("/proc is not mounted, and without it nothing is searched"),
        error => error.into(),
    }
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn look(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, LOOK, Mode::empty())?)
}

/// Whether a path that cannot be resolved lies inside by its name alone, and no link on it says otherwise.
fn is_named_inside(named: &Path, roots: &[String]) -> bool {
    let goes_up = named.components().any(|part| part.as_os_str() == "..");
    let is_plain = |root: &Path| named.ancestors().take_while(|at| *at != root).all(|at| !at.is_symlink());
    !goes_up && roots.iter().map(Path::new).any(|root| named.starts_with(root) && is_plain(root))
}

impl Confined {
    /// Opens what a walk has found; what has no path of its own below the root, without links, is not there.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let below = path.strip_prefix(&self.path).map_err(|_| io::ErrorKind::PermissionDenied)?;
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        Ok(rustix::fs::openat2(&self.dir, below, flags, Mode::empty(), BENEATH)?)
    }
}
