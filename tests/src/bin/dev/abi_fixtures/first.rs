//! The first libraries: extensions built from the sources that the SDK had when the first extension depended on it.
//!
//! The sources are an archive, `tests/abi-fixtures/first.tar.gz`, which nobody edits: what was built from them must be
//! served for ever. It must not know the copies that the other fixtures are made of.

use std::fs;
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

/// The sources, and the word that its libraries stand under.
const ARCHIVE: &str = "tests/abi-fixtures/first.tar.gz";
pub(super) const NAME: &str = "first";
/// What of them is built.
const EXTENSIONS: [&str; 4] = ["storage-memory", "provider-demo", "tool-read-file", "retry-backoff"];

/// All that the libraries are made from, in one order.
pub(super) fn parts(root: &Path) -> Result<Vec<Vec<u8>>, String> {
    let read =
        |file: &str| fs::read(root.join(file)).map_err(|error| format!("cannot read `{file}`: {error}"));
    Ok(vec![read(ARCHIVE)?, read("Cargo.lock")?, include_bytes!("first.rs").to_vec()])
}

/// Answers `(package, built file)` of each library.
pub(super) fn libraries() -> impl Iterator<Item = (String, String)> {
    EXTENSIONS.iter().map(|id| (format!("ext-{id}"), house::library_name(id)))
}

/// Makes `dir` a workspace of these sources, with the versions of today's lock file.
pub(super) fn unpack(root: &Path, dir: &Path) -> Result<(), String> {
    let trouble = |error: std::io::Error| format!("cannot use `{}`: {error}", dir.display());
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(trouble)?;
    }
    fs::create_dir_all(dir).map_err(trouble)?;
    #[expect(clippy::disallowed_methods, reason = "a tool of the machine, on an archive of ours")]
    let mut tar = Command::new("tar");
    let status = tar.arg("-xzf").arg(root.join(ARCHIVE)).arg("-C").arg(dir).status();
    let status = status.map_err(|error| format!("cannot start `tar`: {error}"))?;
    if !status.success() {
        return Err(format!("cannot unpack `{ARCHIVE}` ({status})"));
    }
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).map_err(trouble)?;
    edit(&dir.join("Cargo.toml"), |manifest| {
        manifest.insert("profile".to_owned(), super::tree::small_profile());
        let workspace = manifest.get_mut("workspace")?.as_table_mut()?;
        workspace.insert("members".to_owned(), ["kernel/*", "extensions/*"].map(Value::from).to_vec().into());
        workspace.remove("exclude");
        let quiet = Table::from_iter([("warnings".to_owned(), Value::from("allow"))]);
        workspace
            .insert("lints".to_owned(), Table::from_iter([("rust".to_owned(), Value::from(quiet))]).into());
        Some(())
    })?;
    // Their tests are not built, and what those depend on is not here.
    for id in EXTENSIONS {
        edit(&dir.join("extensions").join(id).join("Cargo.toml"), |manifest| {
            manifest.remove("dev-dependencies").map(|_| ())
        })?;
    }
    Ok(())
}

fn edit(path: &Path, change: impl FnOnce(&mut Table) -> Option<()>) -> Result<(), String> {
    let wrong = |what: &dyn std::fmt::Display| format!("cannot edit `{}`: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let mut manifest: Table = text.parse().map_err(|error| wrong(&error))?;
    change(&mut manifest).ok_or_else(|| wrong(&"it is not the manifest that was archived"))?;
    fs::write(path, manifest.to_string()).map_err(|error| wrong(&error))
}
