//! The files below a directory, in the order of their paths, without what version control ignores.
//!
//! It must not know what is sought in them. It goes down by descriptors (`folder.rs`), so that a file costs a look at its
//! name and none at the directories above it.

use crate::search::folder::Folder;
use crate::search::globs::Globs;
use crate::search::ignored::Ignored;
use crate::search::stop::Stop;
use dispatch_sdk::contracts::exec::SearchStop;
use rustix::fs::{Dir, FileType};
use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// Most names that one walk holds; of a larger directory the first ones are looked at.
pub(crate) const NAMES_HELD_MAX: usize = 100_000;
/// Most directories below each other; each holds a descriptor.
pub(crate) const DEPTH_MAX: usize = 100;
/// After so many names of a directory a walk looks whether it is to stop.
const NAMES_STEP: usize = 512;

/// How a walk went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) stopped: Option<SearchStop>,
    /// Files and directories that could not be read.
    pub(crate) n_unread: u64,
    /// Directories with more names, or deeper, than are looked at.
    pub(crate) n_too_large: u64,
    /// Ignore files hold more patterns than were read.
    pub(crate) ignores_cut: bool,
}

/// What is passed over.
pub(crate) struct Scope<'a> {
    pub(crate) hidden: bool,
    pub(crate) ignored: bool,
    pub(crate) globs: &'a Globs,
    pub(crate) stop: &'a Stop,
    /// Where ignore files end to count.
    pub(crate) top: &'a Path,
    /// Most names that are held at once.
    pub(crate) names_held_max: usize,
}

impl<'a> Scope<'a> {
    /// Nothing is passed over but by the globs.
    pub(crate) fn all(globs: &'a Globs, stop: &'a Stop) -> Self {
        let top = Path::new("/");
        Self { hidden: true, ignored: true, globs, stop, top, names_held_max: NAMES_HELD_MAX }
    }
}

/// A name that is not visited yet.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    name: Vec<u8>,
    /// Absent = the file system does not say with the name.
    is_dir: Option<bool>,
}

struct Level<'a> {
    folder: Folder<'a>,
    /// The next one is the last.
    names: Vec<Name>,
}

/// Visits everything that `globs` mean but directories; links are visited, never followed.
pub(crate) fn walk<'a>(
    root: Folder<'a>,
    scope: &Scope<'_>,
    mut visit: impl FnMut(&Folder<'a>, &OsStr, &Path, &mut Walked) -> ControlFlow<()>,
) -> Walked {
    let mut walked = Walked::default();
    let mut ignored = Ignored::above(&root, scope.top);
    let top = root.path.clone();
    let mut n_held = 0;
    let mut levels: Vec<Level<'a>> = Vec::new();
    let mut next = Some(root);
    loop {
        if let Some(folder) = next.take() {
            match names_of(&folder, scope, scope.names_held_max - n_held) {
                Ok((names, is_whole)) => {
                    walked.n_too_large += u64::from(!is_whole);
                    n_held += names.len();
                    ignored.enter(&folder);
                    levels.push(Level { folder, names });
                }
                Err(_) => walked.n_unread += 1,
            }
        }
        walked.stopped = scope.stop.reached();
        if walked.stopped.is_some() {
            break;
        }
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        let Some(Name { name, is_dir }) = level.names.pop() else {
            levels.pop();
            ignored.leave();
            continue;
        };
        n_held -= 1;
        let name = OsString::from_vec(name);
        let folder = &level.folder;
        let Some(is_dir) = is_dir.or_else(|| folder.look(&name).ok().map(|seen| seen.is_dir())) else {
            continue;
        };
        let path = folder.path.join(&name);
        let below = path.strip_prefix(&top).unwrap_or(&path);
        if !scope.ignored && ignored.leaves_out(&path, is_dir) {
            continue;
        }
        if !is_dir {
            if scope.globs.is_match(&path, below) && visit(folder, &name, &path, &mut walked).is_break() {
                break;
            }
            continue;
        }
        if scope.globs.excludes(&path, below) {
            continue;
        }
        if depth == DEPTH_MAX {
            walked.n_too_large += 1;
            continue;
        }
        match folder.enter(&name) {
            Ok(found) => next = found,
            // Out of reach, and passed over in silence.
            Err(e) if e.raw_os_error().is_none() => {}
            Err(_) => walked.n_unread += 1,
        }
    }
    walked.ignores_cut = ignored.is_cut;
    walked
}

/// The first names of a directory in descending order, and whether these are all; a heap keeps a huge directory from
/// costing memory.
fn names_of(folder: &Folder<'_>, scope: &Scope<'_>, names_max: usize) -> io::Result<(Vec<Name>, bool)> {
    let mut first = BinaryHeap::new();
    let mut is_whole = true;
    for (n, entry) in Dir::new(folder.readable()?)?.enumerate() {
        if n % NAMES_STEP == 0 && scope.stop.reached().is_some() {
            break;
        }
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b".." | b".git") || (!scope.hidden && name.starts_with(b".")) {
            continue;
        }
        let is_dir = match entry.file_type() {
            FileType::Unknown => None,
            kind => Some(kind == FileType::Directory),
        };
        first.push(Name { name: name.to_vec(), is_dir });
        if first.len() > names_max {
            first.pop();
            is_whole = false;
        }
    }
    let mut names = first.into_sorted_vec();
    names.reverse();
    Ok((names, is_whole))
}
