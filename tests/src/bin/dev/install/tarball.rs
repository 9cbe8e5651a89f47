//! The tarball: the layout below one directory, the same bytes for the same files.
//!
//! It must not know what is in it. GNU tar and gzip write it: names sorted, no owner, no time.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{TARBALL_PREFIX, lay};

/// The one directory that a tarball holds.
pub(super) fn top() -> String {
    format!("dispatch-{}", env!("CARGO_PKG_VERSION"))
}

/// Makes `file` from what `from` holds; a file of that name is replaced once the new one is whole.
pub(super) fn make(from: &Path, file: &Path) -> Result<(), String> {
    let beside = file.parent().unwrap_or(file);
    fs::create_dir_all(beside).map_err(|e| lay::cannot("make", beside, &e))?;
    let aside = lay::aside(beside)?;
    lay::lay(from, &aside.path().join(top()), Path::new(TARBALL_PREFIX))?;
    let made = aside.path().join("made.tar.gz");
    #[expect(clippy::disallowed_methods, reason = "the system's tar")]
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ])
    .args(["--format=gnu", "--use-compress-program=gzip -n", "--create", "--file"])
    .arg(&made)
    .arg("--directory")
    .arg(aside.path())
    .arg(top());
    let output = tar.output().map_err(|e| format!("cannot start `tar`, which writes the tarball: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`tar` made no {}: {}: {why}", file.display(), output.status));
    }
    fs::rename(&made, file).map_err(|e| lay::cannot("make", file, &e))
}
