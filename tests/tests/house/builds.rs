//! The build lists of this repository.
//!
//! It must not know what an instance does; whether a build resolves and runs is shown by the stories.

use std::path::PathBuf;

use dispatch_kernel::BuildList;

use super::rule::Rule;
use super::tree::{directories, files};

#[test]
fn every_build_list_can_be_read_and_names_extensions_that_exist() {
    let extensions = directories("extensions");
    let root = ::house::workspace_dir();
    let mut broken = Vec::new();
    let mut n_lists = 0;
    let lists =
        files().iter().filter(|file| file.path.starts_with("manifests/") && file.path.ends_with(".toml"));
    for file in lists {
        n_lists += 1;
        match BuildList::read(&root.join(PathBuf::from(&file.path))) {
            Err(problems) => broken.push(format!("{}: {problems}", file.path)),
            Ok(list) => {
                let named = list.entries.iter().map(|entry| entry.extension().value.as_str());
                let unknown = named.filter(|id| !extensions.iter().any(|known| known == id));
                broken.extend(unknown.map(|id| format!("{}: no extension `{id}`", file.path)));
            }
        }
    }
    if n_lists == 0 {
        broken.push("manifests/: no build list".to_owned());
    }
    Rule {
        says: "a build list under `manifests/` can be read, and every extension it names stands in `extensions/`",
        mend: "correct the line that is shown",
    }
    .holds(&broken);
}
