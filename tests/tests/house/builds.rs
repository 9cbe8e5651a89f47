//! The build lists of this repository.
//!
//! It must not know what an instance does; whether a build runs is shown by the stories.

use std::process::Command;

use dispatch_compose::BuildList;

use super::rule::Rule;
use super::tree::{directories, files};

fn lists() -> Vec<&'static str> {
    let paths = files().iter().map(|file| file.path.as_str());
    paths.filter(|path| path.starts_with("manifests/") && path.ends_with(".toml")).collect()
}

#[test]
fn every_build_list_can_be_read_and_names_extensions_that_exist() {
    let extensions = directories("extensions");
    let root = ::house::workspace_dir();
    let mut broken = Vec::new();
    for path in lists() {
        match BuildList::read(&root.join(path)) {
            Err(problems) => broken.push(format!("{path}: {problems}")),
            Ok(list) => {
                let named = list.entries.iter().map(|entry| entry.extension().value.as_str());
                let unknown = named.filter(|id| !extensions.iter().any(|known| known == id));
                broken.extend(unknown.map(|id| format!("{path}: no extension `{id}`")));
            }
        }
    }
    if lists().is_empty() {
        broken.push("manifests/: no build list".to_owned());
    }
    Rule {
        says: "a build list under `manifests/` can be read, and every extension it names stands in `extensions/`",
        mend: "correct the line that is shown",
    }
    .holds(&broken);
}

#[test]
fn every_build_list_resolves_with_the_built_libraries() {
    let broken: Vec<String> = lists().into_iter().filter_map(|path| check(path).err()).collect();
    Rule {
        says: "`dispatch build check` finds nothing wrong with a build list under `manifests/`",
        mend: "correct the build list or the manifest that is shown",
    }
    .holds(&broken);
}

/// Lets the built binary look at a build list, in a home of its own.
fn check(path: &str) -> Result<(), String> {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    #[expect(clippy::disallowed_methods, reason = "the built binary is what is looked at")]
    let mut command = Command::new(::house::dispatch_binary());
    command
        .args(["build", "check", path])
        .current_dir(::house::workspace_dir())
        .env("DISPATCH_HOME", home.path());
    let output = command.output().map_err(|error| format!("{path}: cannot start `dispatch`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{path}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
