//! Builds the ABI fixtures: libraries like `toy-probe`, from copies of `abi` and `sdk` that are a little different.
//!
//! It must not know what a fixture is for, only `tests/abi-fixtures/<name>.toml`. Its library stands in
//! `<target>/abi-fixtures/<name>.so` with the hash of all that it was made from beside it; where that holds, nothing
//! is built. All are built in one directory, one after the other, as if somebody edited it: what two of them have in
//! common is compiled once.

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
        let key = key(&tree, &text, &compiler);
        let stamp = out.join(format!("{name}.sha256"));
        let library = format!("{name}.so");
        let host = recipe.host.then(|| format!("{name}.host"));
        let there =
            [Some(&library), host.as_ref()].into_iter().flatten().all(|file| out.join(file).is_file());
        if there && fs::read_to_string(&stamp).is_ok_and(|built| built == key) {
            continue;
        }
        println!("dev: build the ABI fixture `{name}`");
        // Until it is whole again, it is not there.
        let _ = fs::remove_file(&stamp);
        let workspace = out.join("workspace");
        tree.write(&workspace).map_err(trouble)?;
        run(cargo(&out, "rustc", LIBRARY).args(["--lib", "--"]).args(&recipe.rustc_args), &name)?;
        keep(&out, "libtoy_probe.so", &library).map_err(trouble)?;
        if let Some(host) = host {
            run(&mut cargo(&out, "build", HOST), &name)?;
            keep(&out, HOST, &host).map_err(trouble)?;
        }
        fs::write(&stamp, &key).map_err(trouble)?;
    }
    Ok(())
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

fn key(tree: &Tree, recipe: &str, compiler: &str) -> String {
    let mut hasher = Sha256::new();
    let parts = [recipe, compiler, include_str!("abi_fixtures.rs"), include_str!("abi_fixtures/tree.rs")];
    for part in parts.into_iter().map(str::as_bytes).chain(tree.parts()) {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cargo over the copies. Offline: the workspace itself was built before, so every crate is here.
fn cargo(out: &Path, command: &str, package: &str) -> Command {
    let mut cargo = house::cargo();
    cargo.args([command, "--quiet", "--offline", "--package", package]);
    cargo.arg("--manifest-path").arg(out.join("workspace/Cargo.toml"));
    cargo.arg("--target-dir").arg(out.join("build"));
    cargo
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot start cargo for `{name}`: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("the ABI fixture `{name}` does not build ({status}); mend `{RECIPES}/{name}.toml`"))
}

/// Takes a built file out of the way of the next fixture. A file that somebody has mapped is replaced, not written.
fn keep(out: &Path, built: &str, kept: &str) -> std::io::Result<()> {
    let temp = out.join(format!("{kept}.tmp"));
    fs::copy(out.join("build/debug").join(built), &temp)?;
    fs::rename(temp, out.join(kept))
}
