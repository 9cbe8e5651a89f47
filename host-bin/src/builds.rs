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
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == wanted) {
        let path = PathBuf::from(format!("(built in)/{wanted}.toml"));
        return BuildList::parse(&path, text).map_err(|problems| Refusal::config(problems.to_string()));
    }
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    let sought: Vec<String> = places(dirs).iter().map(|place| place.display().to_string()).collect();
    Err(Refusal::config(format!(
        "there is no build `{wanted}`: not in {}, and not among those built in ({}); name a file with `--build ./{wanted}.toml`",
        sought.join(", "),
        names.join(", ")
    )))
}

fn read(path: &Path) -> Result<BuildList, Refusal> {
    BuildList::read(path).map_err(|problems| Refusal::config(problems.to_string()))
}

fn places(dirs: &Dirs) -> Vec<PathBuf> {
    let beside = Path::new(&dirs.exe).parent().map(|dir| dir.join("manifests"));
    std::iter::once(Path::new(&dirs.config).join("builds")).chain(beside).collect()
}
