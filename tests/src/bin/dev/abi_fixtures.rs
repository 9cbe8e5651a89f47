//! Builds the ABI fixtures: libraries like `toy-probe`, from copies of `abi` and `sdk` that are a little different.
//!
//! And the first libraries, from the archive of their sources.
//!
//! It must not know what a fixture is for, only `tests/abi-fixtures/<name>.toml`. Its library stands in
//! `<target>/abi-fixtures/<name>.so` with the hash of all that it was made from beside it; where that holds, nothing
//! is built. All are built in one directory, one after the other, as if somebody edited it: what two of them have in
//! common is compiled once.

#[path = "abi_fixtures/first.rs"]
mod first;
#[path = "abi_fixtures/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tree::{Edit, Tree};

const RECIPES: &str = "tests/abi-fixtures";
const LIBRARY: &str = "toy-probe";
const HOST: &str = "small-host";
/// Where the copies stand, below the directory of what is built.
const WORKSPACE: &str = "workspace";

/// One fixture: what is different in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// More arguments for the compiler, for the library alone.
    #[serde(default)]
    rustc_args: Vec<String>,
    /// Whether the small host is built too, as `<name>.host`.
    #[serde(default)]
    host: bool,
    #[serde(default, rename = "edit")]
    edits: Vec<Edit>,
}

/// Builds every fixture that is not as its recipe and the sources are now, below `target_dir`.
pub(crate) fn build(target_dir: &Path) -> Result<(), String> {
    let out = target_dir.join(house::ABI_FIXTURES_DIR);
    let trouble = |error: std::io::Error| format!("cannot use `{}`: {error}", out.display());
    fs::create_dir_all(&out).map_err(trouble)?;
    // Two runs at once would edit each other's copies; given back when this one ends, whichever way.
    let lock = fs::File::create(out.join("lock")).map_err(trouble)?;
    lock.lock().map_err(trouble)?;
    let base = Tree::of_workspace(&house::workspace_dir())?;
    let compiler = compiler()?;
    for (name, text) in recipes()? {
        let recipe: Recipe =
            toml::from_str(&text).map_err(|error| format!("cannot read `{RECIPES}/{name}.toml`: {error}"))?;
        let mut tree = base.clone();
        for edit in &recipe.edits {
            tree.apply(edit).map_err(|found| format!("`{RECIPES}/{name}.toml`: {found}"))?;
        }
        let key = key([text.as_bytes(), compiler.as_bytes()].into_iter().chain(tree.parts()));
        let library = format!("{name}.so");
        let host = recipe.host.then(|| format!("{name}.host"));
        let files: Vec<&String> = [Some(&library), host.as_ref()].into_iter().flatten().collect();
        unless_there(&out, &name, &files, &key, || {
            tree.write(&out.join(WORKSPACE)).map_err(trouble)?;
            let mut rustc = cargo(&out, WORKSPACE, "rustc", LIBRARY);
            run(rustc.args(["--lib", "--"]).args(&recipe.rustc_args), &name)?;
            keep(&out, "libtoy_probe.so", &library).map_err(trouble)?;
            if let Some(host) = &host {
                run(&mut cargo(&out, WORKSPACE, "build", HOST), &name)?;
                keep(&out, HOST, host).map_err(trouble)?;
            }
            Ok(())
        })?;
    }
    build_first(&out, &compiler)
}

/// Builds the first libraries, as `first.<library>`.
fn build_first(out: &Path, compiler: &str) -> Result<(), String> {
    let root = house::workspace_dir();
    let parts = first::parts(&root)?;
    let key = key([compiler.as_bytes()].into_iter().chain(parts.iter().map(Vec::as_slice)));
    let kept = |built: &str| format!("{}.{built}", first::NAME);
    let files: Vec<String> = first::libraries().map(|(_, built)| kept(&built)).collect();
    unless_there(out, first::NAME, &files.iter().collect::<Vec<_>>(), &key, || {
        first::unpack(&root, &out.join(first::NAME))?;
        for (package, built) in first::libraries() {
            run(cargo(out, first::NAME, "build", &package).arg("--lib"), first::NAME)?;
            keep(out, &built, &kept(&built))
                .map_err(|error| format!("cannot use `{}`: {error}", out.display()))?;
        }
        Ok(())
    })
}

/// Builds the fixture `name` unless its files are there and were made from what `key` stands for.
fn unless_there(
    out: &Path,
    name: &str,
    files: &[&String],
    key: &str,
    build: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let stamp = out.join(format!("{name}.sha256"));
    let there = files.iter().all(|file| out.join(file).is_file());
    if there && fs::read_to_string(&stamp).is_ok_and(|built| built == key) {
        return Ok(());
    }
    println!("dev: build the ABI fixture `{name}`");
    // Until it is whole again, it is not there.
    let _ = fs::remove_file(&stamp);
    build()?;
    fs::write(&stamp, key).map_err(|error| format!("cannot write `{}`: {error}", stamp.display()))
}

/// Answers all recipes by name, sorted.
fn recipes() -> Result<Vec<(String, String)>, String> {
    let dir = house::workspace_dir().join(RECIPES);
    let trouble = |error: std::io::Error| format!("cannot read `{RECIPES}`: {error}");
    let mut recipes = Vec::new();
    for entry in fs::read_dir(dir).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            recipes.push((name, fs::read_to_string(&path).map_err(trouble)?));
        }
    }
    recipes.sort();
    Ok(recipes)
}

/// Answers which compiler it is; another one makes another library.
fn compiler() -> Result<String, String> {
    let output = house::cargo().arg("-vV").output();
    let output = output.map_err(|error| format!("cannot start `cargo -vV`: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The hash of all that a fixture is made from, this file included.
fn key<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    let own = [include_str!("abi_fixtures.rs"), include_str!("abi_fixtures/tree.rs")];
    for part in own.into_iter().map(str::as_bytes).chain(parts) {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cargo over the copies. Offline: the workspace itself was built before, so every crate is here.
fn cargo(out: &Path, workspace: &str, command: &str, package: &str) -> Command {
    let mut cargo = house::cargo();
    cargo.args([command, "--quiet", "--offline", "--package", package]);
    cargo.arg("--manifest-path").arg(out.join(workspace).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(out.join("build"));
    cargo
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot start cargo for `{name}`: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("the ABI fixture `{name}` does not build ({status}); mend its recipe in `{RECIPES}`"))
}

/// Takes a built file out of the way of the next fixture. A file that somebody has mapped is replaced, not written.
fn keep(out: &Path, built: &str, kept: &str) -> std::io::Result<()> {
    let temp = out.join(format!("{kept}.tmp"));
    fs::copy(out.join("build/debug").join(built), &temp)?;
    fs::rename(temp, out.join(kept))
}
