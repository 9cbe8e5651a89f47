//! The files of the workspace: its text, without what git or cargo keeps beside it.
//!
//! It must not know any rule.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;

/// A text file of the workspace.
pub(crate) struct TreeFile {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// Answers all text files, sorted by path.
pub(crate) fn files() -> &'static [TreeFile] {
    static FILES: OnceLock<Vec<TreeFile>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut found = Vec::new();
        walk(&::house::workspace_dir(), "", &mut found);
        found.sort_by(|a: &TreeFile, b| a.path.cmp(&b.path));
        found
    })
}

/// Answers all Rust files, sorted by path.
pub(crate) fn rust_files() -> impl Iterator<Item = &'static TreeFile> {
    files().iter().filter(|file| file.path.ends_with(".rs"))
}

/// Reads a list of exceptions that stands beside the rules: `tests/<name>`, a TOML file.
pub(crate) fn exceptions<T: DeserializeOwned>(name: &str) -> T {
    let path = ::house::workspace_dir().join("tests").join(name);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read `tests/{name}`: {error}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("cannot parse `tests/{name}`: {error}"))
}

/// Answers the names of the directories directly in `dir`, sorted.
pub(crate) fn directories(dir: &str) -> Vec<String> {
    let at = ::house::workspace_dir().join(dir);
    let mut names: Vec<String> = read_dir(&at)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<TreeFile>) {
    // Cargo tags the directory into which it builds, whatever its name.
    if dir.join("CACHEDIR.TAG").exists() {
        return;
    }
    for entry in read_dir(dir) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap_or_else(|error| panic!("cannot look at `{path}`: {error}"));
        if kind.is_dir() && name != ".git" && path != "target" {
            walk(&entry.path(), &format!("{path}/"), found);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.push(TreeFile { path, text });
        }
    }
}

fn read_dir(dir: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let entries =
        fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot list `{}`: {error}", dir.display()));
    entries.map(|entry| entry.expect("a directory that could be opened can be read"))
}
