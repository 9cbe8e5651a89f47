//! Building the workspace, with cargo's own progress on the terminal.
//!
//! It must not know what the build is for.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Runs `cargo build --workspace --locked` with `more`, its output passed on.
pub(crate) fn workspace(more: &[&str]) -> Result<ExitStatus, String> {
    let mut build = house::cargo();
    build.args(["build", "--workspace", "--locked"]).args(more);
    println!("dev: cargo build --workspace --locked {}", more.join(" "));
    build.status().map_err(|error| format!("cannot start `cargo build`: {error}"))
}

/// Answers cargo's target directory.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let metadata = house::metadata()?;
    let target = metadata["target_directory"].as_str();
    let target = target.ok_or("`cargo metadata` names no `target_directory`; is this cargo 1.95?")?;
    Ok(PathBuf::from(target))
}

/// Answers the directory into which cargo puts what it builds for tests: `<target>/debug`.
pub(crate) fn debug_dir() -> Result<PathBuf, String> {
    Ok(target_dir()?.join("debug"))
}
