//! What the directory and the package of an extension look like.
//!
//! It must not know what any extension does.

use std::fs;

use super::rule::Rule;
use super::tree::directories;
use super::workspace::{Package, Target, workspace};

/// What may stand directly in an extension's directory.
const ENTRIES: [&str; 3] = ["Cargo.toml", "extension.toml", "src"];

#[test]
fn directory_package_and_manifest_have_one_name() {
    let mut broken = Vec::new();
    for id in directories("extensions") {
        let dir = ::house::workspace_dir().join("extensions").join(&id);
        match fs::read_to_string(dir.join("extension.toml")) {
            Err(error) => broken.push(format!("extensions/{id}/extension.toml: {error}")),
            Ok(text) => match text.parse::<toml::Table>() {
                Err(error) => broken.push(format!("extensions/{id}/extension.toml: {error}")),
                Ok(manifest) if manifest.get("id").and_then(toml::Value::as_str) != Some(&id) => {
                    broken.push(format!("extensions/{id}/extension.toml: its `id` is not `{id}`"));
                }
                Ok(_) => {}
            },
        }
        let directory = format!("extensions/{id}");
        match workspace().ours().find(|package| workspace().directory(package) == directory) {
            None => broken.push(format!("{directory}: no package of the workspace")),
            Some(package) => broken.extend(wrong_package(package, &id)),
        }
        let entries = fs::read_dir(&dir).expect("an extension's directory can be listed");
        let names =
            entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned());
        let more = names.filter(|name| !ENTRIES.contains(&name.as_str()));
        broken.extend(more.map(|name| format!("{directory}/{name}: belongs into `src/` or elsewhere")));
    }
    Rule {
        says: "an extension is `extensions/<id>/` with `Cargo.toml` (package `ext-<id>`, a `cdylib` alone), \
               `extension.toml` (the same id) and `src/`, nothing else",
        mend: "see `extensions/README.md`",
    }
    .holds(&broken);
}

fn wrong_package(package: &Package, id: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if package.name != format!("ext-{id}") {
        broken.push(format!("extensions/{id}/Cargo.toml: the package is `{}`, not `ext-{id}`", package.name));
    }
    let cdylib_alone = |kind: &[String]| kind == ["cdylib"];
    // What only tests build is not part of the extension.
    let for_tests =
        |kind: &[String]| matches!(kind, [one] if one == "test" || one == "example" || one == "bench");
    let shipped: Vec<&Target> = package.targets.iter().filter(|target| !for_tests(&target.kind)).collect();
    let alone = shipped.len() == 1
        && shipped.iter().all(|target| cdylib_alone(&target.kind) && cdylib_alone(&target.crate_types));
    if !alone {
        broken.push(format!("extensions/{id}/Cargo.toml: it builds something else than one `cdylib`"));
    }
    broken
}

#[test]
fn the_index_lists_every_extension() {
    let path = "extensions/README.md";
    let mut broken = Vec::new();
    match fs::read_to_string(::house::workspace_dir().join(path)) {
        Err(error) => broken.push(format!("{path}: {error}")),
        Ok(text) => {
            let listed = |id: &str| text.contains(&format!("`{id}`")) || text.contains(&format!("[{id}]("));
            let missing = directories("extensions").into_iter().filter(|id| !listed(id));
            broken.extend(missing.map(|id| format!("{path}: `{id}` is not in the index")));
        }
    }
    Rule {
        says: "`extensions/README.md` lists every extension",
        mend: "add a line with its id in backticks",
    }
    .holds(&broken);
}
