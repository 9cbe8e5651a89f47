//! The copies that a fixture is built from: packages of this workspace under a manifest of their own, and exact edits.
//!
//! It must not know cargo beyond the manifest of a workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

/// What is copied, and under which name.
const PACKAGES: [(&str, &str); 5] = [
    ("kernel/abi", "abi"),
    ("kernel/wire", "wire"),
    ("kernel/sdk", "sdk"),
    ("tests/toys/toy-probe", "toy-probe"),
    ("tests/toys/small-host", "small-host"),
];
/// What is built where it stands: no fixture changes it, so it is compiled once for all.
const CONTRACTS: &str = "kernel/contracts";

/// One place that is different in a fixture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// The file, as in the copies: `abi/src/traits.rs`.
    file: String,
    /// A text that stands there exactly once.
    find: String,
    /// What stands there instead.
    put: String,
}

/// The files of the copies by path, and those that are built where they stand.
#[derive(Clone)]
pub(super) struct Tree {
    files: BTreeMap<String, String>,
    elsewhere: Vec<String>,
}

impl Tree {
    /// Reads the packages as they are now.
    pub(super) fn of_workspace(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        let read = |dir: &str, name: &str, files: &mut BTreeMap<String, String>| {
            walk(&root.join(dir), name, files).map_err(|error| format!("cannot copy `{dir}`: {error}"))
        };
        for (dir, name) in PACKAGES {
            read(dir, name, &mut files)?;
        }
        let mut elsewhere = BTreeMap::new();
        read(CONTRACTS, "contracts", &mut elsewhere)?;
        let text = |name: &str| {
            fs::read_to_string(root.join(name)).map_err(|error| format!("cannot read `{name}`: {error}"))
        };
        files.insert("Cargo.toml".to_owned(), manifest(&text("Cargo.toml")?, root)?);
        files.insert("Cargo.lock".to_owned(), text("Cargo.lock")?);
        Ok(Self { files, elsewhere: elsewhere.into_values().collect() })
    }

    /// Makes one edit, or says what stands there instead.
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        let Some(text) = self.files.get_mut(&edit.file) else {
            return Err(format!("there is no `{}` to edit", edit.file));
        };
        let found = text.matches(&edit.find).count();
        if found != 1 {
            return Err(format!("`{}` holds {found} times, not once, the text `{}`", edit.file, edit.find));
        }
        *text = text.replacen(&edit.find, &edit.put, 1);
        Ok(())
    }

    /// All that a library is made from, in one order.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let files = self.files.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
        files.chain(self.elsewhere.iter().map(String::as_bytes))
    }

    /// Makes `dir` hold these files and no others. One that is equal is left as it is, or cargo would build it again.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut there = BTreeMap::new();
        if dir.exists() {
            walk(dir, "", &mut there)?;
        }
        let stale: BTreeSet<&String> =
            there.keys().filter(|path| !self.files.contains_key(path.as_str())).collect();
        for path in stale {
            fs::remove_file(dir.join(path))?;
        }
        for (path, text) in self.files.iter().filter(|(path, text)| there.get(*path) != Some(*text)) {
            let path: PathBuf = dir.join(path);
            fs::create_dir_all(path.parent().expect("it stands in `dir`"))?;
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// Reads the text files below `dir`, named from `prefix` on.
fn walk(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else {
            files.insert(path, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// The manifest of the copies: that of this workspace with other members, and small libraries.
fn manifest(text: &str, root: &Path) -> Result<String, String> {
    let read = || -> Option<String> {
        let mut manifest: Table = text.parse().ok()?;
        let workspace = manifest.get_mut("workspace")?.as_table_mut()?;
        let members = PACKAGES.iter().map(|(_, name)| Value::from(*name)).collect::<Vec<_>>();
        workspace.insert("members".to_owned(), Value::from(members));
        workspace.remove("exclude");
        // What the copies are linted for, their originals are; an edit may leave a name unused.
        let quiet = Table::from_iter([("warnings".to_owned(), Value::from("allow"))]);
        let lints = Table::from_iter([("rust".to_owned(), Value::from(quiet))]);
        workspace.insert("lints".to_owned(), Value::from(lints));
        let dependencies = workspace.get_mut("dependencies")?.as_table_mut()?;
        dependencies.retain(|_, dependency| dependency.get("path").is_none());
        let mut add = |name: &str, path: &str| {
            let dependency = Table::from_iter([("path".to_owned(), Value::from(path))]);
            dependencies.insert(name.to_owned(), Value::from(dependency));
        };
        add("dispatch-abi", "abi");
        add("dispatch-sdk", "sdk");
        add("dispatch-wire", "wire");
        add("dispatch-contracts", root.join(CONTRACTS).to_str()?);
        manifest.insert("profile".to_owned(), small_profile());
        Some(manifest.to_string())
    };
    read().ok_or_else(|| {
        "the root `Cargo.toml` has no `[workspace.dependencies]`, or stands in no UTF-8 path".to_owned()
    })
}

/// The profiles of a workspace whose libraries are small; equal ones share what they depend on.
pub(super) fn small_profile() -> Value {
    let dev = [("debug", false), ("incremental", false), ("strip", true)];
    let dev = Table::from_iter(dev.map(|(key, value)| (key.to_owned(), Value::from(value))));
    Value::from(Table::from_iter([("dev".to_owned(), Value::from(dev))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { files, elsewhere: Vec::new() }
    }

    fn edit(file: &str, find: &str) -> Edit {
        Edit { file: file.to_owned(), find: find.to_owned(), put: "z".to_owned() }
    }

    #[test]
    fn an_edit_that_does_not_fit_exactly_once_is_refused() {
        let mut tree = tree(&[("a.rs", "x y x")]);
        assert_eq!(
            tree.apply(&edit("a.rs", "x")),
            Err("`a.rs` holds 2 times, not once, the text `x`".to_owned())
        );
        assert_eq!(
            tree.apply(&edit("a.rs", "w")),
            Err("`a.rs` holds 0 times, not once, the text `w`".to_owned())
        );
        assert_eq!(tree.apply(&edit("b.rs", "x")), Err("there is no `b.rs` to edit".to_owned()));
        assert_eq!(tree.apply(&edit("a.rs", "y")), Ok(()));
        assert_eq!(tree.files["a.rs"], "x z x");
    }

    #[test]
    fn writing_removes_what_is_stale_and_touches_nothing_that_is_equal() {
        let dir = tempfile::tempdir().unwrap();
        let modified = |name: &str| fs::metadata(dir.path().join(name)).unwrap().modified().unwrap();
        tree(&[("a/same.rs", "1"), ("a/old.rs", "2"), ("b.rs", "3")]).write(dir.path()).unwrap();
        let before = modified("a/same.rs");
        let second = tree(&[("a/same.rs", "1"), ("b.rs", "4")]);
        second.write(dir.path()).unwrap();
        let mut there = BTreeMap::new();
        walk(dir.path(), "", &mut there).unwrap();
        assert_eq!(there, second.files);
        assert_eq!(modified("a/same.rs"), before);
    }

    #[test]
    fn the_manifest_of_the_copies_names_them_and_no_other_package_of_ours() {
        let root = house::workspace_dir();
        let text = manifest(&fs::read_to_string(root.join("Cargo.toml")).unwrap(), &root).unwrap();
        let manifest: Table = text.parse().unwrap();
        let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
        let ours: Vec<&str> = dependencies
            .iter()
            .filter(|(_, dependency)| dependency.get("path").is_some())
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(ours, ["dispatch-abi", "dispatch-contracts", "dispatch-sdk", "dispatch-wire"]);
        assert_eq!(dependencies["abi_stable"].as_str(), Some("=0.11.3"));
    }
}
