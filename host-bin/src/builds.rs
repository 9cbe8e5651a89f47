//! Where build lists come from: a file, a name in the configuration directory or beside the binary, or one built in.

use crate::exit::Refusal;
use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::BuildList;
use std::path::{Path, PathBuf};

/// The lists that the binary carries, so that it works from anywhere.
const BUILT_IN: &[(&str, &str)] = &[
    ("default", include_str!("../../manifests/default.toml")),
    ("minimal", include_str!("../../manifests/minimal.toml")),
    ("server", include_str!("../../manifests/server.toml")),
];

/// The list used without `--build`.
const DEFAULT: &str = "default";

/// Reads the build list that `wanted` means.
pub(crate) fn find(wanted: Option<&str>, dirs: &Dirs) -> Result<BuildList, Refusal> {
    let wanted = wanted.unwrap_or(DEFAULT);
    let looks_like_a_file = wanted.contains('/') || wanted.ends_with(".toml");
    if looks_like_a_file {
        return read(Path::new(wanted));
    }
    for place in places(dirs) {
        let file = place.join(format!("{wanted}.toml"));
        if file.is_file() {
            return read(&file);
        }
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == wanted) {
        // They include one another; the files they were made from may be gone.
        let all: Vec<(PathBuf, &str)> = BUILT_IN.iter().map(|(name, text)| (built_in(name), *text)).collect();
        let list = BuildList::parse_among(&built_in(name), text, &all);
        return list.map_err(|problems| Refusal::config(problems.to_string()));
    }
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    let sought: Vec<String> = places(dirs).iter().map(|place| place.display().to_string()).collect();
    Err(Refusal::config(format!(
        "there is no build `{wanted}`: not in {}, and not among those built in ({}); name a file with `--build ./{wanted}.toml`",
        sought.join(", "),
        names.join(", ")
    )))
}

fn built_in(name: &str) -> PathBuf {
    PathBuf::from(format!("(built in)/{name}.toml"))
}

fn read(path: &Path) -> Result<BuildList, Refusal> {
    BuildList::read(path).map_err(|problems| Refusal::config(problems.to_string()))
}

fn places(dirs: &Dirs) -> Vec<PathBuf> {
    let beside = Path::new(&dirs.exe).parent().map(|dir| dir.join("manifests"));
    std::iter::once(Path::new(&dirs.config).join("builds")).chain(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_that_the_binary_carries_needs_no_file() {
        let dirs =
            Dirs { config: "/nowhere".to_owned(), exe: "/nowhere/dispatch".to_owned(), ..Dirs::default() };
        for (name, _) in BUILT_IN {
            let list =
                find(Some(name), &dirs).unwrap_or_else(|refusal| panic!("{name}: {}", refusal.message));
            assert!(!list.entries.is_empty(), "{name}");
        }
        let server = find(Some("server"), &dirs).unwrap();
        let has = |id: &str| server.entries.iter().any(|entry| entry.id.value == id);
        assert!(has("transport-http") && has("orchestrator") && !has("provider-demo"));
        assert!(find(Some("none"), &dirs).unwrap_err().message.contains("(default, minimal, server)"));
    }
}
