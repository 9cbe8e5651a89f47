//! The one copy of the working tree in which bugs are planted.
//!
//! It must not know what is built in it. A file keeps its time as long as its bytes stay, so that cargo builds only
//! what changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use house::{MUTANTS_DIR, Mutant};

/// The copy.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Makes `root` a copy of the files of the working tree that git does not ignore.
    pub(crate) fn copy_to(root: PathBuf) -> Result<Self, String> {
        let from = house::workspace_dir();
        let trouble =
            |error: std::io::Error| format!("cannot copy the tree to `{}`: {error}", root.display());
        let mut wanted = BTreeSet::new();
        for path in listed(&from)? {
            // A file that was deleted but not committed is listed and not there.
            let Ok(bytes) = fs::read(from.join(&path)) else { continue };
            let to = root.join(&path);
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(to.parent().unwrap_or(&root)).map_err(trouble)?;
                fs::write(&to, &bytes).map_err(trouble)?;
            }
            wanted.insert(to);
        }
        remove_others(&root, &wanted).map_err(trouble)?;
        Ok(Self { root })
    }

    /// Plants the bug; dropping the answer takes it out again.
    pub(crate) fn plant(&self, mutant: &Mutant) -> Result<Planted, String> {
        let mut before = Vec::new();
        for file in &mutant.files {
            let path = self.root.join(file);
            let bytes = fs::read(&path).map_err(|error| format!("cannot read `{file}`: {error}"))?;
            before.push((path, bytes));
        }
        let patch = house::workspace_dir().join(MUTANTS_DIR).join(format!("{}.patch", mutant.name));
        let mut git = git(&self.root);
        // The copy may stand below a repository, which `git apply` would take its paths from.
        git.env("GIT_CEILING_DIRECTORIES", self.root.parent().unwrap_or(&self.root));
        let output = git.arg("apply").arg(&patch).output();
        let output = output.map_err(|error| format!("cannot start `git apply`: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the patch does not apply: {}", said.trim()));
        }
        Ok(Planted { before })
    }
}

/// A planted bug.
pub(crate) struct Planted {
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        for (path, bytes) in &self.before {
            if let Err(error) = fs::write(path, bytes) {
                // The next copy of the tree puts it right.
                eprintln!("dev: cannot take the bug out of `{}`: {error}", path.display());
            }
        }
    }
}

fn listed(root: &Path) -> Result<Vec<PathBuf>, String> {
    let output = git(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output();
    let output = output.map_err(|error| format!("cannot start `git ls-files`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_terminator('\0').map(PathBuf::from).collect())
}

fn remove_others(dir: &Path, wanted: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the tree is git's, and so are the patches")]
fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir);
    git
}
