//! What version control leaves out: `.gitignore`, `.ignore` and `.git/info/exclude`, read as a repository's own files are.
//!
//! The files are data of whoever made the repository: a link among them is not followed, what is no regular file is not
//! opened, no more than [`BYTES_MAX`] of one is read and no more than [`PATTERN_BYTES_MAX`] in one walk. It must not know
//! a walk.

use crate::place::{Opener, is_repository};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes read of one file.
pub(crate) const BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of patterns read in one walk; one of them may cost hundreds in memory.
pub(crate) const PATTERN_BYTES_MAX: u64 = 1024 * 1024;
/// Files of one directory, the weightiest first.
const NAMES: [&str; 3] = [".ignore", ".gitignore", ".git/info/exclude"];
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The ignore files of one walk.
pub(crate) struct Ignored {
    opener: Opener,
    /// Nothing above it is looked at.
    top: PathBuf,
    read: Mutex<Read>,
}

/// What was read so far.
struct Read {
    /// Those of the directories above the one that was asked for last.
    dirs: HashMap<PathBuf, Arc<Dir>>,
    bytes_left: u64,
    /// There were more bytes than that.
    is_cut: bool,
}

struct Dir {
    rules: Vec<Gitignore>,
    /// What lies above has no say below it.
    is_repository: bool,
}

impl Ignored {
    pub(crate) fn new(opener: Opener, top: PathBuf) -> Self {
        let read = Read { dirs: HashMap::new(), bytes_left: PATTERN_BYTES_MAX, is_cut: false };
        Self { opener, top, read: Mutex::new(read) }
    }

    /// Whether `path` is left out; the file nearest to it decides.
    pub(crate) fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        for at in path.ancestors().skip(1) {
            let dir = self.of(at);
            for rules in &dir.rules {
                match rules.matched(path, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            if dir.is_repository || self.top == at {
                break;
            }
        }
        false
    }

    /// Whether there were more patterns than are read.
    pub(crate) fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, at: &Path) -> Arc<Dir> {
        let mut read = self.lock();
        if let Some(known) = read.dirs.get(at) {
            return Arc::clone(known);
        }
        // A walk goes down into one directory after the other: those beside the way are done.
        read.dirs.retain(|known, _| at.starts_with(known) || known.starts_with(at));
        let rules = NAMES.iter().filter_map(|name| self.read(at, name, &mut read)).collect();
        let dir = Arc::new(Dir { rules, is_repository: is_repository(at) });
        read.dirs.insert(at.to_owned(), Arc::clone(&dir));
        dir
    }

    /// A file that is not there, or cannot be read, leaves nothing out; nor does a line that is no pattern.
    fn read(&self, dir: &Path, name: &str, read: &mut Read) -> Option<Gitignore> {
        let file = self.opener.open_regular(&dir.join(name)).ok()??;
        let bytes_max = BYTES_MAX.min(read.bytes_left);
        let mut text = Vec::new();
        // One byte more tells whether these were the last ones.
        file.take(bytes_max + 1).read_to_end(&mut text).ok()?;
        if text.len() as u64 > bytes_max {
            read.is_cut = true;
            text.truncate(usize::try_from(bytes_max).expect("at most BYTES_MAX"));
        }
        read.bytes_left -= text.len() as u64;
        let text = String::from_utf8_lossy(&text);
        let mut builder = GitignoreBuilder::new(dir);
        for line in text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).lines() {
            let _ = builder.add_line(None, line);
        }
        builder.build().ok().filter(|rules| !rules.is_empty())
    }
}
