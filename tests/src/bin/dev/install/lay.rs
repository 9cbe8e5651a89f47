//! The layout below a prefix: made aside, tried, then moved.
//!
//! It must not know where the prefix ends up beyond its name in the units.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The binary's place in the units of the source.
const UNIT_BINARY: &str = "/usr/local/bin/dispatch";
/// The builds that the binary carries; all have to hold with what was laid.
const BUILDS: [&str; 3] = ["minimal", "default", "server"];
/// What shell finds its completions where.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/dispatch"),
    ("zsh", "share/zsh/site-functions/_dispatch"),
    ("fish", "share/fish/vendor_completions.d/dispatch.fish"),
];

/// The binary below `prefix`.
pub(super) fn binary(prefix: &Path) -> PathBuf {
    prefix.join("bin/dispatch")
}

/// Lays what `from` holds below `prefix`, in place of files of the same names and no others; answers how many.
///
/// Errors: what could not be made, or does not run; then nothing below `prefix` is another than before, unless the
/// moving itself failed half way, which is said.
pub(super) fn into_prefix(from: &Path, prefix: &Path) -> Result<usize, String> {
    // On the file system of the prefix, so that a file is moved whole.
    let is_new = !prefix.exists();
    let beside = if is_new { prefix.parent().unwrap_or(prefix) } else { prefix };
    fs::create_dir_all(beside).map_err(|e| cannot("make", beside, &e))?;
    let aside = aside(beside)?;
    let tree = aside.path().join("tree");
    lay(from, &tree, prefix)?;
    let files = files(&tree)?;
    if is_new {
        fs::rename(&tree, prefix).map_err(|e| cannot("make", prefix, &e))?;
    } else {
        // The binary last.
        for name in files.iter().rev() {
            let to = prefix.join(name);
            let dir = to.parent().unwrap_or(prefix);
            fs::create_dir_all(dir).map_err(|e| cannot("make", dir, &e))?;
            fs::rename(tree.join(name), &to).map_err(|e| {
                format!("{}; others are replaced already, run it again", cannot("replace", &to, &e))
            })?;
        }
    }
    Ok(files.len())
}

/// A directory that is gone at the end.
pub(super) fn aside(beside: &Path) -> Result<TempDir, String> {
    let made = tempfile::Builder::new().prefix(".dispatch-dist-").tempdir_in(beside);
    made.map_err(|e| cannot("make a directory in", beside, &e))
}

/// Makes all of it in `tree`, which is not there yet, for a life below `prefix`.
pub(super) fn lay(from: &Path, tree: &Path, prefix: &Path) -> Result<(), String> {
    let root = house::workspace_dir();
    copy(&from.join("dispatch"), &binary(tree))?;
    for id in extensions(&root)? {
        let library = house::library_name(&id);
        copy(&from.join(&library), &tree.join("lib/dispatch").join(&library))?;
    }
    for (unit, kind) in [("dispatch.service", "system"), ("dispatch-user.service", "user")] {
        let text = fs::read_to_string(root.join("host-bin/systemd").join(unit))
            .map_err(|e| format!("cannot read `host-bin/systemd/{unit}`: {e}"))?;
        let text = text.replace(UNIT_BINARY, &binary(prefix).display().to_string());
        write(&tree.join("lib/systemd").join(kind).join("dispatch.service"), text.as_bytes())?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root.join(licence), &tree.join("share/doc/dispatch").join(licence))?;
    }
    let home = aside(tree)?;
    for build in BUILDS {
        said(tree, home.path(), &["--build", build, "ext", "graph"])?;
    }
    for (shell, place) in COMPLETIONS {
        write(&tree.join(place), &said(tree, home.path(), &["completions", shell])?)?;
    }
    write(&tree.join("share/man/man1/dispatch.1"), &said(tree, home.path(), &["man"])?)
}

/// What the laid binary prints, knowing nothing but what was laid.
fn said(tree: &Path, home: &Path, words: &[&str]) -> Result<Vec<u8>, String> {
    let binary = binary(tree);
    #[expect(clippy::disallowed_methods, reason = "this program exists to run the built binary")]
    let mut command = Command::new(&binary);
    command.args(words).env_clear().env("DISPATCH_HOME", home).current_dir(home).stdin(Stdio::null());
    let output = command.output().map_err(|e| cannot("start", &binary, &e))?;
    if !output.status.success() || output.stdout.is_empty() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "what was laid does not run: `dispatch {}`: {}: {why}",
            words.join(" "),
            output.status
        ));
    }
    Ok(output.stdout)
}

/// The ids of the workspace's extensions, sorted.
fn extensions(root: &Path) -> Result<Vec<String>, String> {
    let dir = root.join("extensions");
    let entries = fs::read_dir(&dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|e| cannot("list", &dir, &e))?;
    let crates = entries.iter().filter(|entry| entry.path().join("extension.toml").is_file());
    let mut ids: Vec<String> = crates.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    ids.sort();
    Ok(ids)
}

/// Names of the files below `tree`, relative to it, sorted: so `bin/dispatch` is the first.
fn files(tree: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut found, mut open) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| cannot("list", &dir, &e))? {
            let path = entry.map_err(|e| cannot("list", &dir, &e))?.path();
            match path.is_dir() {
                true => open.push(path),
                false => found.extend(path.strip_prefix(tree).map(Path::to_owned)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Copies bytes and mode.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(|e| cannot("make", to, &e))?;
    fs::copy(from, to).map(drop).map_err(|e| format!("{} to {}", cannot("copy", from, &e), to.display()))
}

fn write(to: &Path, content: &[u8]) -> Result<(), String> {
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(|e| cannot("make", to, &e))?;
    fs::write(to, content).map_err(|e| cannot("write", to, &e))
}

pub(super) fn cannot(what: &str, path: &Path, why: &std::io::Error) -> String {
    format!("cannot {what} {}: {why}", path.display())
}
