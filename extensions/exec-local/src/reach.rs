//! How far the file verbs reach: the whole machine, or what lies beneath some roots, without what is barred to all.
//!
//! It must not know verbs. Beneath roots every path is opened by `openat2` from a root's descriptor, which no `..`, no
//! link and no swap of a directory for a link leads out of. It guards against mistakes: programs are not confined by it,
//! and a hard link inside a root is the file itself, wherever else it has a name. What is opened was looked at before,
//! and is that very thing, whatever its name has become.

use crate::barred::{Barred, Refusal};
use crate::seen::{LINKS_MAX, LOOK, lies_at};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::RootsReply;
use dispatch_sdk::fault::INVALID;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// How often a path is looked up again because something was renamed meanwhile.
const LOOKUPS_MAX: usize = 64;
/// Stands for the working directory of the call.
const CWD_WORD: &str = "{cwd}";
/// Nothing leads out, and nothing by way of the descriptors of a process.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The roots of the configuration; absent = the whole machine.
#[derive(Clone)]
pub(crate) struct Roots(Option<Vec<String>>);

impl Roots {
    /// Errors: `invalid`, naming the instance and the root.
    pub(crate) fn parse(roots: Option<Vec<String>>, instance: &str) -> Result<Self, Fault> {
        let invalid = |found: String| Err(Fault::new(INVALID, format!("`{instance}`: {found}")));
        let Some(roots) = roots else { return Ok(Self(None)) };
        if roots.is_empty() {
            return invalid("`roots` is empty; leave it out for the whole machine".to_owned());
        }
        for root in &roots {
            if root != CWD_WORD && (!Path::new(root).is_absolute() || root.contains('\0')) {
                let root = root.escape_debug();
                return invalid(format!("the root `{root}` is neither an absolute path nor `{CWD_WORD}`"));
            }
        }
        if let Err(Errno::NOSYS) = rustix::fs::openat2(CWD, ".", LOOK, Mode::empty(), BENEATH) {
            return invalid("`roots` need a kernel with openat2 (Linux 5.6)".to_owned());
        }
        Ok(Self(Some(roots)))
    }

    /// What can be reached from `cwd` and is not barred; `also` is a directory that may be read whatever the roots are.
    pub(crate) fn seen_from(&self, cwd: &str, barred: Barred, also: Option<&Path>) -> Reach {
        Reach { within: self.within(cwd, also), barred }
    }

    /// The roots alone: where programs may start.
    pub(crate) fn within(&self, cwd: &str, also: Option<&Path>) -> Within {
        let Some(roots) = &self.0 else { return Within::Machine };
        let named = roots.iter().map(|root| if root == CWD_WORD { cwd } else { root }).map(PathBuf::from);
        let mut named: Vec<PathBuf> = named.collect();
        named.sort_by_key(|path| path.as_os_str().len());
        let mut roots: Vec<Root> = Vec::new();
        for path in named {
            // A root inside another adds nothing, and its name could become a link that leads out of both.
            if roots.iter().all(|outer| outer.below(&path).is_none()) {
                roots.push(Root::at(path));
            }
        }
        let named = roots.len();
        roots.extend(also.map(|dir| Root::at(dir.to_owned())));
        Within::Beneath { roots, named }
    }

    /// The words of the configuration, if there are any.
    pub(crate) fn words(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

/// A directory beneath which files are reached.
pub(crate) struct Root {
    path: PathBuf,
    /// Without links in it; absent while it is not there.
    real: Option<PathBuf>,
}

impl Root {
    fn at(path: PathBuf) -> Self {
        let real = path.canonicalize().ok();
        Self { path, real }
    }

    /// The part of `path` below it.
    fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let spellings = [Some(&self.path), self.real.as_ref()];
        spellings.into_iter().flatten().find_map(|root| path.strip_prefix(root).ok())
    }

    fn open(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(&self.path, LOOK | OFlags::DIRECTORY, Mode::empty())?)
    }
}

/// What the verbs of one call reach.
pub(crate) struct Reach {
    within: Within,
    barred: Barred,
}

impl Reach {
    /// Looks at what an absolute path names, links followed; nothing is opened.
    ///
    /// Errors: the system's; one made of [`Refusal`] when the path leads out of reach.
    pub(crate) fn look(&self, path: &Path) -> io::Result<OwnedFd> {
        self.look_as(path, LOOK)
    }

    /// The same, where only a directory will do.
    pub(crate) fn look_at_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        self.look_as(path, LOOK | OFlags::DIRECTORY)
    }

    fn look_as(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        match self.within.look(path, flags) {
            Ok(seen) => self.barred.check(&seen).map(|()| seen),
            // Whether there is something in a place that is barred is not told.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.barred.check_path(&lies_at(path)).and(Err(e))
            }
            Err(e) => Err(e),
        }
    }

    /// What is out of reach wherever paths may lead.
    pub(crate) fn barred(&self) -> &Barred {
        &self.barred
    }

    /// The root that a path without links lies in; absent = the whole machine is reached.
    pub(crate) fn confines(&self, real: &Path) -> Option<&Path> {
        let Within::Beneath { roots, .. } = &self.within else { return None };
        roots.iter().filter_map(|root| root.real.as_deref()).find(|root| real.starts_with(root))
    }

    /// Whether a name in a directory, taken or free, is in reach.
    pub(crate) fn check_name(&self, dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
        self.barred.check_name(dir, name)
    }

    /// Opens the directory `dir` and makes what is missing of it.
    pub(crate) fn make_dirs(&self, dir: &Path) -> io::Result<OwnedFd> {
        let is_missing = |opened: &io::Result<OwnedFd>| {
            opened.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        };
        let mut missing = Vec::new();
        let mut at = dir;
        let mut opened = self.look_at_dir(at);
        while is_missing(&opened) {
            let Some(parent) = at.parent() else { break };
            missing.push(at);
            at = parent;
            opened = self.look_at_dir(at);
        }
        let mut made = opened?;
        for dir in missing.into_iter().rev() {
            // One that ends in `..` is there once its beginning is.
            if let Some(name) = dir.file_name() {
                self.check_name(&made, name)?;
                match rustix::fs::mkdirat(&made, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            made = self.look_at_dir(dir)?;
        }
        Ok(made)
    }

    /// All of it, for a reader that opens files itself.
    pub(crate) fn tell(&self) -> RootsReply {
        let text = |root: &Root| root.real.as_ref().map(|real| real.to_string_lossy().into_owned());
        let roots = match &self.within {
            Within::Machine => None,
            Within::Beneath { roots, .. } => Some(roots.iter().filter_map(text).collect()),
        };
        let mut reply = RootsReply { roots, ..RootsReply::default() };
        self.barred.tell(&mut reply);
        reply
    }
}

/// Where paths may lead, before anything is barred.
pub(crate) enum Within {
    Machine,
    Beneath {
        roots: Vec<Root>,
        /// So many of them were configured; the rest may be read, and needs no mention.
        named: usize,
    },
}

impl Within {
    /// Looks at an absolute path; `flags` are those of a look.
    ///
    /// Errors: the system's; one made of [`Refusal`] when the path leads out of the roots.
    pub(crate) fn look(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let Self::Beneath { .. } = self else { return look_anywhere(path, flags) };
        let mut at = path.to_owned();
        for _ in 0..=LINKS_MAX {
            let (root, below) = self.beneath(&at).ok_or_else(|| self.outside("it lies outside the roots"))?;
            let root_dir = root.open()?;
            match lookup(&root_dir, below, flags, BENEATH) {
                Err(Errno::XDEV) => at = self.through_link(root, &root_dir, below)?,
                Err(Errno::LOOP) => {
                    return Err(
                        self.outside("it leads through a loop of links, or one of a process in /proc")
                    );
                }
                seen => return Ok(seen?),
            }
        }
        Err(self.outside(&format!("it leads over more than {LINKS_MAX} links between the roots")))
    }

    fn beneath<'a>(&self, path: &'a Path) -> Option<(&Root, &'a Path)> {
        let Self::Beneath { roots, .. } = self else { return None };
        roots.iter().find_map(|root| Some((root, root.below(path)?)))
    }

    /// What `root/below` is when the link that leads out of the root is replaced by what it says.
    fn through_link(&self, root: &Root, root_dir: &OwnedFd, below: &Path) -> io::Result<PathBuf> {
        let mut before = PathBuf::new();
        let mut parts = below.components();
        while let Some(part) = parts.next() {
            let name: &OsStr = part.as_os_str();
            let here = before.join(name);
            if let Err(Errno::XDEV) = lookup(root_dir, &here, LOOK, BENEATH) {
                // A `..` that leads out opens no link here, and neither does what has been swapped meanwhile.
                let link = lookup(root_dir, &here, LOOK | OFlags::NOFOLLOW, BENEATH);
                let says = link.and_then(|link| rustix::fs::readlinkat(&link, "", Vec::new()));
                let says = says.map_err(|_| self.outside("it leads out of the roots"))?;
                let says = PathBuf::from(OsString::from_vec(says.into_bytes()));
                return Ok(root.path.join(before).join(says).join(parts.as_path()));
            }
            before = here;
        }
        // It led out a moment ago: somebody is swapping it.
        Err(self.outside("it leads out of the roots"))
    }

    fn outside(&self, found: &str) -> io::Error {
        let roots = match self {
            Self::Machine => Vec::new(),
            Self::Beneath { roots, named } => {
                roots[..*named].iter().map(|root| format!("`{}`", root.path.display())).collect()
            }
        };
        refused(format!("{found}: {}", roots.join(", ")))
    }
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, Refusal { message, is_sensitive: false })
}

/// Looks at any path but one that leads by way of a process: its root may be another machine's, its descriptors are
/// nobody else's.
fn look_anywhere(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    match lookup(CWD, path, flags, ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::NOSYS) => Ok(rustix::fs::open(path, flags, Mode::empty())?),
        Err(Errno::LOOP) => {
            // A loop of links is one for everybody.
            rustix::fs::open(path, flags, Mode::empty())?;
            Err(refused("it leads through a process in /proc, which is the host's own".to_owned()))
        }
        seen => Ok(seen?),
    }
}

fn lookup(dir: impl AsFd, path: &Path, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut last = Errno::AGAIN;
    for _ in 0..LOOKUPS_MAX {
        match rustix::fs::openat2(dir.as_fd(), path, flags, Mode::empty(), how) {
            // Something was renamed while a `..` was followed.
            Err(e @ (Errno::AGAIN | Errno::INTR)) => last = e,
            looked_up => return looked_up,
        }
    }
    Err(last)
}
