//! What version control leaves out: `.gitignore`, `.ignore` and `.git/info/exclude`, read as a repository's own files are.
//!
//! The files are data of whoever made the repository: a link among them is not followed, what is no regular file is not
//! opened, no more than [`IGNORE_FILE_BYTES_MAX`] of one is read and no more than [`IGNORE_BYTES_MAX`] in one search. It
//! must not know a walk.

use crate::search::folder::Folder;
use dispatch_sdk::contracts::exec::{IGNORE_BYTES_MAX, IGNORE_FILE_BYTES_MAX};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::io::Read as _;
use std::path::Path;

/// Files of one directory, the weightiest first.
const NAMES: [&str; 3] = [".ignore", ".gitignore", ".git/info/exclude"];
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The ignore files of the directories from the top down to where a walk is.
pub(crate) struct Ignored {
    dirs: Vec<Rules>,
    bytes_left: u64,
    /// There were more bytes than that.
    pub(crate) is_cut: bool,
}

struct Rules {
    files: Vec<Gitignore>,
    /// What lies above has no say below it.
    is_repository: bool,
}

impl Ignored {
    /// Those above `root`, up to `top`.
    pub(crate) fn above(root: &Folder<'_>, top: &Path) -> Self {
        let mut folders = Vec::new();
        let mut above = if root.path == top { None } else { root.above() };
        while let Some(folder) = above.take_if(|folder| folder.path.starts_with(top)) {
            above = if folder.path == top { None } else { folder.above() };
            folders.push(folder);
        }
        let mut ignored = Self { dirs: Vec::new(), bytes_left: IGNORE_BYTES_MAX, is_cut: false };
        folders.iter().rev().for_each(|folder| ignored.enter(folder));
        ignored
    }

    /// The walk goes down into a directory.
    pub(crate) fn enter(&mut self, folder: &Folder<'_>) {
        let files = NAMES.iter().filter_map(|name| self.read(folder, name)).collect();
        self.dirs.push(Rules { files, is_repository: folder.has(".git") });
    }

    /// The walk comes back out of it.
    pub(crate) fn leave(&mut self) {
        self.dirs.pop();
    }

    /// Whether `path`, which lies in the directory that was entered last, is left out; the file nearest to it decides.
    pub(crate) fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        for dir in self.dirs.iter().rev() {
            for rules in &dir.files {
                match rules.matched(path, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            if dir.is_repository {
                break;
            }
        }
        false
    }

    /// A file that is not there, or cannot be read, leaves nothing out; nor does a line that is no pattern.
    fn read(&mut self, folder: &Folder<'_>, name: &str) -> Option<Gitignore> {
        let file = folder.open_below(name).ok()??;
        let bytes_max = IGNORE_FILE_BYTES_MAX.min(self.bytes_left);
        let mut text = Vec::new();
        // One byte more tells whether these were the last ones.
        file.take(bytes_max + 1).read_to_end(&mut text).ok()?;
        if text.len() as u64 > bytes_max {
            self.is_cut = true;
            text.truncate(usize::try_from(bytes_max).expect("at most IGNORE_FILE_BYTES_MAX"));
        }
        self.bytes_left -= text.len() as u64;
        let text = String::from_utf8_lossy(&text);
        let mut builder = GitignoreBuilder::new(&folder.path);
        for line in text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).lines() {
            let _ = builder.add_line(None, line);
        }
        builder.build().ok().filter(|rules| !rules.is_empty())
    }
}
