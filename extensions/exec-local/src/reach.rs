//! How far the file verbs reach: the whole machine, or what lies beneath some roots.
//!
//! It must not know verbs. Beneath roots every path is opened by `openat2` from a root's descriptor, which no `..`, no
//! link and no swap of a directory for a link leads out of. It guards against mistakes: programs are not confined by it,
//! and a hard link inside a root is the file itself, wherever else it has a name.

use dispatch_sdk::Fault;
use dispatch_sdk::fault::INVALID;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Links to somewhere else among the roots that are followed from a name to its file.
pub(crate) const LINKS_MAX: usize = 8;
/// How often a path is looked up again because something was renamed meanwhile.
const LOOKUPS_MAX: usize = 64;
/// Stands for the working directory of the call.
const CWD_WORD: &str = "{cwd}";
/// Nothing leads out, and nothing by way of the descriptors of a process.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
/// A look at what is there, which opens nothing.
pub(crate) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

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

    /// What can be reached from `cwd`; `also` is a directory that may be read whatever the roots are.
    pub(crate) fn seen_from(&self, cwd: &str, also: Option<&Path>) -> Reach {
        let Some(roots) = &self.0 else { return Reach::Machine };
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
        Reach::Beneath { roots, named }
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

pub(crate) enum Reach {
    Machine,
    Beneath {
        roots: Vec<Root>,
        /// So many of them were configured; the rest may be read, and needs no mention.
        named: usize,
    },
}

impl Reach {
    /// Opens an absolute path.
    ///
    /// Errors: the system's; one made of `Outside` when the path leads out of the roots.
    pub(crate) fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let Self::Beneath { .. } = self else { return Ok(rustix::fs::open(path, flags, mode)?) };
        let mut at = path.to_owned();
        for _ in 0..=LINKS_MAX {
            let (root, below) = self.beneath(&at).ok_or_else(|| self.outside("it lies outside the roots"))?;
            let root_dir = root.open()?;
            match lookup(&root_dir, below, flags, mode) {
                Err(Errno::XDEV) => at = self.through_link(root, &root_dir, below)?,
                Err(Errno::LOOP) if !flags.contains(OFlags::NOFOLLOW) => {
                    return Err(
                        self.outside("it leads through a loop of links, or one of a process in /proc")
                    );
                }
                opened => return Ok(opened?),
            }
        }
        Err(self.outside(&format!("it leads over more than {LINKS_MAX} links between the roots")))
    }

    /// Opens the directory `dir` and makes what is missing of it.
    pub(crate) fn make_dirs(&self, dir: &Path) -> io::Result<OwnedFd> {
        let open = |dir: &Path| self.open(dir, LOOK | OFlags::DIRECTORY, Mode::empty());
        let is_missing = |opened: &io::Result<OwnedFd>| {
            opened.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        };
        let mut missing = Vec::new();
        let mut at = dir;
        let mut opened = open(at);
        while is_missing(&opened) {
            let Some(parent) = at.parent() else { break };
            missing.push(at);
            at = parent;
            opened = open(at);
        }
        let mut made = opened?;
        for dir in missing.into_iter().rev() {
            // One that ends in `..` is there once its beginning is.
            if let Some(name) = dir.file_name() {
                match rustix::fs::mkdirat(&made, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            made = open(dir)?;
        }
        Ok(made)
    }

    /// The directories that may be read, without links; `None` = all.
    pub(crate) fn real_roots(&self) -> Option<Vec<PathBuf>> {
        let Self::Beneath { roots, .. } = self else { return None };
        Some(roots.iter().filter_map(|root| root.real.clone()).collect())
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
            if let Err(Errno::XDEV) = lookup(root_dir, &here, LOOK, Mode::empty()) {
                // A `..` that leads out opens no link here, and neither does what has been swapped meanwhile.
                let link = lookup(root_dir, &here, LOOK | OFlags::NOFOLLOW, Mode::empty());
                let says = link.and_then(|link| rustix::fs::readlinkat(&link, "", Vec::new()));
                let says = says.map_err(|_| self.outside("it leads out of the roots"))?;
                let says = PathBuf::from(std::ffi::OsString::from_vec(says.into_bytes()));
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
        let message = format!("{found}: {}", roots.join(", "));
        io::Error::new(io::ErrorKind::PermissionDenied, Outside(message))
    }
}

fn lookup(root: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let mut last = Errno::AGAIN;
    for _ in 0..LOOKUPS_MAX {
        match rustix::fs::openat2(root, below, flags, mode, BENEATH) {
            // Something was renamed while a `..` was followed.
            Err(e @ (Errno::AGAIN | Errno::INTR)) => last = e,
            looked_up => return looked_up,
        }
    }
    Err(last)
}

/// A path leads out of the roots.
#[derive(Debug)]
pub(crate) struct Outside(String);

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Outside {}
