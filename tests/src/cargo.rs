//! Cargo as a program: how it is called, and what it says of the workspace.
//!
//! It must not know what is done with the answer.

use std::ffi::OsString;
use std::process::Command;

use serde_json::Value;

/// Answers the command `cargo` in the root of the workspace: the one that runs us, if one does.
#[expect(clippy::disallowed_methods, reason = "these programs and tests exist to call cargo")]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(crate::workspace_dir());
    command
}

/// Answers `cargo metadata` of the locked workspace, for the platform that it is built on.
///
/// Errors: what cargo said.
pub fn metadata() -> Result<Value, String> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "host-tuple"])
        .output()
        .map_err(|error| format!("cannot start `cargo metadata`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`cargo metadata --locked` failed: {}", said.trim()));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cannot read what `cargo metadata` says: {error}"))
}
