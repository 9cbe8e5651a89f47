//! What of a project acts once a person trusts it: its settings and its instruction files, as they are now.
//!
//! It must not apply anything: it finds, reads within bounds, hashes, and tells.

use crate::config_file::{FILE, unreadable};
use crate::exit::Refusal;
use crate::key_kind::{self, Kind};
use dispatch_compose::{CONFIG_BYTES_MAX, ConfigFile, ConfigValue};
use dispatch_kernel::sha256;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The directory that makes a project.
pub(crate) const DIR: &str = ".dispatch";
/// Files with instructions for a model.
const INSTRUCTIONS: &str = "AGENTS.md";
/// Most directories of a project that are looked into, and how deep they may lie.
const DIRS_MAX: usize = 20_000;
const DEPTH_MAX: usize = 16;
/// Most files of one project that are bound.
const FILES_MAX: usize = 1024;

/// A file that acts, and what a person should know of it.
#[derive(Debug)]
pub(crate) struct ProjectFile {
    /// Without links.
    pub(crate) path: PathBuf,
    /// Of its content, in lower-case hex.
    pub(crate) sha256: String,
    /// What it sets or how long it is, one line each.
    pub(crate) says: Vec<String>,
}

/// All that acts in a project, and what was left out, one line each.
#[derive(Debug, Default)]
pub(crate) struct ProjectFiles {
    pub(crate) files: Vec<ProjectFile>,
    pub(crate) left_out: Vec<String>,
}

impl ProjectFiles {
    /// Looks at the directory `root`, which holds no link, and below it. Hidden directories and links are not followed.
    ///
    /// Errors: a file sets what no project may set, or cannot be read.
    pub(crate) fn of(root: &Path) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let mut next = vec![(root.to_owned(), 0)];
        let mut n_dirs = 0;
        while let Some((dir, depth)) = next.pop() {
            n_dirs += 1;
            if n_dirs > DIRS_MAX || found.files.len() >= FILES_MAX {
                found.left_out.push(format!(
                    "not everything was looked at: more than {DIRS_MAX} directories or {FILES_MAX} files; trust the \
                     directory that you work in as well"
                ));
                break;
            }
            for name in [Path::new(DIR).join(FILE), PathBuf::from(INSTRUCTIONS)] {
                found.take(root, &dir.join(name))?;
            }
            if depth < DEPTH_MAX {
                let mut below = directories_in(&dir);
                below.sort_unstable_by(|a, b| b.cmp(a));
                next.extend(below.into_iter().map(|dir| (dir, depth + 1)));
            }
        }
        Ok(found)
    }

    fn take(&mut self, root: &Path, file: &Path) -> Result<(), Refusal> {
        if fs::symlink_metadata(file).is_err() {
            return Ok(());
        }
        let path = match fs::canonicalize(file) {
            Ok(path) if path.starts_with(root) => path,
            Ok(path) => {
                let line = format!("{} leads to {}, outside of the project", file.display(), path.display());
                self.left_out.push(line);
                return Ok(());
            }
            Err(e) => {
                self.left_out.push(format!("{}: {e}", file.display()));
                return Ok(());
            }
        };
        let bytes = read(&path)?;
        let says = match file.file_name().is_some_and(|name| name == FILE) {
            true => settings(&path, &bytes)?,
            false => {
                let n_lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
                vec![format!("instructions for the model, {n_lines} lines, {} bytes", bytes.len())]
            }
        };
        self.files.push(ProjectFile { path, sha256: sha256(&bytes), says });
        Ok(())
    }
}

/// Directories that may hold something of the project's.
fn directories_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let shown = below.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    shown.take(DIRS_MAX).map(|entry| entry.path()).collect()
}

/// The bytes of a file of a project.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let cannot = |what: String| Refusal::config(format!("cannot read {}: {what}", path.display()));
    let meta = fs::metadata(path).map_err(|e| cannot(e.to_string()))?;
    // Opening a FIFO would wait for a writer.
    if !meta.is_file() {
        return Err(cannot("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| cannot(e.to_string()))?;
    file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| cannot(e.to_string()))?;
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(cannot(format!("it is longer than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn settings(path: &Path, bytes: &[u8]) -> Result<Vec<String>, Refusal> {
    let file = ConfigFile::parse(path, bytes).map_err(|problems| unreadable(path, &problems))?;
    let line = |value: &ConfigValue| {
        forbidden(path, value)?;
        let shown = key_kind::shown(&value.keys, &value.value);
        Ok(format!("{}.{} = {shown}", value.instance, value.keys.join(".")))
    };
    file.values.iter().map(line).collect()
}

/// Refuses what only the user's own configuration may say: who somebody is, where it goes, and which variables are read.
pub(crate) fn forbidden(path: &Path, value: &ConfigValue) -> Result<(), Refusal> {
    let what = match key_kind::kind(&value.keys) {
        _ if names_a_variable(&value.value) => "names a variable of your environment",
        Kind::Environment => "names variables of your environment",
        Kind::Credential => "is a credential",
        Kind::Endpoint => "is an address",
        Kind::Other if reaches_beyond(&value.keys) => "says what is run, reached or kept on this machine",
        Kind::Other => return Ok(()),
    };
    Err(Refusal::config(format!(
        "{}:{}: `{}.{}` {what}, and a project must not set it: it could send your keys elsewhere or open what you keep \
         shut; take it out, or put it into your own `{FILE}`",
        path.display(),
        value.place.line(),
        value.instance,
        value.keys.join(".")
    )))
}

/// Words of a key that says which programs run, which files are reached, and where and how things are kept.
const REACH: [&str; 13] = [
    "allow",
    "also",
    "dir",
    "dirs",
    "file",
    "files",
    "limits",
    "path",
    "paths",
    "roots",
    "sensitive",
    "shim",
    "synchronous",
];

fn reaches_beyond(keys: &[String]) -> bool {
    keys.iter()
        .flat_map(|key| key.split(['_', '-', '.']))
        .any(|word| REACH.contains(&word.to_lowercase().as_str()))
}

fn names_a_variable(value: &Value) -> bool {
    let mut names = std::collections::BTreeSet::new();
    crate::secrets::names(value, &mut names);
    !names.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn project(settings: &str) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap().join("p");
        fs::create_dir_all(root.join(".dispatch")).unwrap();
        fs::write(root.join(".dispatch/config.toml"), settings).unwrap();
        (temp, root)
    }

    #[test]
    fn all_that_acts_is_found_with_what_it_sets() {
        let (_temp, root) = project("[toy]\nlevel = 3\n");
        fs::create_dir_all(root.join("deep/er")).unwrap();
        fs::create_dir_all(root.join(".git/x")).unwrap();
        for file in ["AGENTS.md", "deep/er/AGENTS.md", ".git/x/AGENTS.md", "deep/README.md"] {
            fs::write(root.join(file), "one\ntwo\n").unwrap();
        }
        let found = ProjectFiles::of(&root).unwrap();
        let paths: Vec<PathBuf> =
            found.files.iter().map(|file| file.path.strip_prefix(&root).unwrap().to_owned()).collect();
        assert_eq!(paths, [".dispatch/config.toml", "AGENTS.md", "deep/er/AGENTS.md"].map(PathBuf::from));
        assert_eq!(found.files[0].says, ["toy.level = 3"]);
        assert_eq!(found.files[1].sha256, sha256(b"one\ntwo\n"));
        assert!(found.left_out.is_empty());
    }

    #[test]
    fn a_link_that_leaves_the_project_is_left_out_and_told() {
        let (temp, root) = project("");
        fs::write(temp.path().join("secret"), "s").unwrap();
        symlink(temp.path().join("secret"), root.join("AGENTS.md")).unwrap();
        let found = ProjectFiles::of(&root).unwrap();
        assert_eq!((found.files.len(), found.left_out.len()), (1, 1));
        assert!(found.left_out[0].contains("outside of the project"), "{:?}", found.left_out);
    }

    #[test]
    fn who_and_where_are_the_users_to_say() {
        for (settings, what) in [
            ("[toy]\nx = 1\napi_key = \"k\"\n", ":3: `toy.api_key` is a credential"),
            ("[toy]\nbase_url = \"http://evil\"\n", ":2: `toy.base_url` is an address"),
            ("[toy]\nx = { env = \"AWS\" }\n", "names variables of your environment"),
            ("[toy]\nx = [{ env = \"AWS\" }]\n", "names a variable of your environment"),
            ("[toy]\nenv_also = [\"AWS\"]\n", "names variables of your environment"),
            ("[toy]\nshim = [\"./evil\"]\n", "`toy.shim` says what is run"),
            (
                "[toy]\nsensitive_allow = [\"~/.ssh\"]\n",
                "`toy.sensitive_allow` says what is run, reached or kept",
            ),
            ("[toy]\npath = \"./evil.db\"\n", "`toy.path` says"),
            ("[toy]\nsynchronous = \"normal\"\n", "`toy.synchronous` says"),
        ] {
            let (_temp, root) = project(settings);
            let message = ProjectFiles::of(&root).unwrap_err().message;
            assert!(message.contains(what), "{settings}: {message}");
        }
    }
}
