//! What version control leaves out: `.gitignore`, `.ignore` and `.git/info/exclude`, read as a repository's own files are.
//!
//! The files are data of whoever made the repository: a link among them is not followed, what is no regular file is not
//! opened, and no more than [`BYTES_MAX`] of one is read. It must not know a walk.

use crate::place::Opener;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes read of one file.
const BYTES_MAX: u64 = 256 * 1024;
/// Most directories whose files are remembered; then all are forgotten and read again.
const DIRS_MAX: usize = 10_000;
/// Files of one directory, the weightiest first.
const NAMES: [&str; 3] = [".ignore", ".gitignore", ".git/info/exclude"];

/// The ignore files of one walk.
pub(crate) struct Ignored {
    opener: Opener,
    /// Nothing above it is looked at; absent = up to the file system's root.
    top: Option<PathBuf>,
    dirs: Mutex<HashMap<PathBuf, Arc<[Gitignore]>>>,
}

impl Ignored {
    pub(crate) fn new(opener: Opener, top: Option<PathBuf>) -> Self {
        Self { opener, top, dirs: Mutex::default() }
    }

    /// Whether `path` is left out; the file nearest to it decides.
    pub(crate) fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        for dir in path.ancestors().skip(1) {
            for rules in self.of(dir).iter() {
                match rules.matched(path, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            if self.top.as_deref() == Some(dir) {
                break;
            }
        }
        false
    }

    fn of(&self, dir: &Path) -> Arc<[Gitignore]> {
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = dirs.get(dir) {
            return Arc::clone(known);
        }
        if dirs.len() == DIRS_MAX {
            dirs.clear();
        }
        let rules: Arc<[Gitignore]> = NAMES.iter().filter_map(|name| self.read(dir, name)).collect();
        dirs.insert(dir.to_owned(), Arc::clone(&rules));
        rules
    }

    /// A file that is not there, or cannot be read, leaves nothing out; nor does a line that is no pattern.
    fn read(&self, dir: &Path, name: &str) -> Option<Gitignore> {
        let file = self.opener.open_regular(&dir.join(name)).ok()??;
        let mut text = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut text).ok()?;
        let mut builder = GitignoreBuilder::new(dir);
        for line in String::from_utf8_lossy(&text).lines() {
            let _ = builder.add_line(None, line);
        }
        builder.build().ok().filter(|rules| !rules.is_empty())
    }
}
