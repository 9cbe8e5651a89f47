//! Where build lists come from: a file, a name in the configuration directory or beside the binary, or one built in.

use crate::exit::Refusal;
use crate::ownership;
use dispatch_compose::{BuildList, nearest};
use dispatch_contracts::kernel::Dirs;
use std::fs;
use std::path::{Path, PathBuf};

/// The lists that the binary carries, so that it works from anywhere.
const BUILT_IN: &[(&str, &str)] = &[
    ("default", include_str!("../../manifests/default.toml")),
    ("minimal", include_str!("../../manifests/minimal.toml")),
    ("server", include_str!("../../manifests/server.toml")),
];

/// The list used without `--build`.
const DEFAULT: &str = "default";

/// Reads the build list that `wanted` means. A name of one that the binary carries means that one alone.
pub(crate) fn find(wanted: Option<&str>, dirs: &Dirs) -> Result<BuildList, Refusal> {
    let wanted = wanted.unwrap_or(DEFAULT);
    let looks_like_a_file = wanted.contains('/') || wanted.ends_with(".toml");
    if looks_like_a_file {
        return read(Path::new(wanted));
    }
    let files = || places(dirs).into_iter().map(|place| place.join(format!("{wanted}.toml")));
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == wanted) {
        if let Some(shadow) = files().find(|file| shadows(file, text)) {
            return Err(shadowed(name, &shadow));
        }
        // They include one another; the files they were made from may be gone.
        let list = BuildList::parse_among(&built_in(name), text, &carried());
        return list.map_err(|problems| Refusal::config(problems.to_string()));
    }
    if let Some(file) = files().find(|file| file.is_file()) {
        let doubt = fs::metadata(&file).ok().and_then(|meta| ownership::doubt(&file, &meta));
        return match doubt {
            Some(doubt) => Err(Refusal::config(format!("cannot use {}: {doubt}", file.display()))),
            None => read(&file),
        };
    }
    let sought: Vec<String> = places(dirs).iter().map(|place| place.display().to_string()).collect();
    let near = nearest(wanted, BUILT_IN.iter().map(|(name, _)| *name));
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Err(Refusal::config(format!(
        "there is no build `{wanted}`: not in {}, and not among those built in ({}); {near}name a file with `--build ./{wanted}.toml`",
        sought.join(", "),
        names()
    )))
}

/// The text of a list that the binary carries.
pub(crate) fn text(name: &str) -> Result<&'static str, Refusal> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    found.ok_or_else(|| {
        Refusal::usage(format!("the binary carries no build `{name}`; it carries {}", names()))
    })
}

/// The names of the lists that the binary carries, in a line.
pub(crate) fn names() -> String {
    BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Whether a file says something else under the name of a list that the binary carries.
fn shadows(file: &Path, text: &str) -> bool {
    fs::symlink_metadata(file).is_ok() && fs::read(file).map_or(true, |bytes| bytes != text.as_bytes())
}

fn shadowed(name: &str, file: &Path) -> Refusal {
    let shown = file.display();
    Refusal::config(format!(
        "{shown} bears the name of the build `{name}` that the binary carries, and says something else: rename it and \
         `include = [\"{name}\"]` in it, or name it as a file, `--build {shown}`; if you did not put it there, look at \
         who did"
    ))
}

fn built_in(name: &str) -> PathBuf {
    PathBuf::from(format!("(built in)/{name}.toml"))
}

fn carried() -> Vec<(PathBuf, &'static str)> {
    BUILT_IN.iter().map(|(name, text)| (built_in(name), *text)).collect()
}

fn read(path: &Path) -> Result<BuildList, Refusal> {
    BuildList::read_among(path, &carried()).map_err(|problems| Refusal::config(problems.to_string()))
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
    /// A configuration directory with `builds/<name>.toml` in it.
    fn place(name: &str, text: &str) -> (tempfile::TempDir, Dirs) {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("builds")).unwrap();
        fs::write(temp.path().join("builds").join(format!("{name}.toml")), text).unwrap();
        let config = temp.path().to_str().unwrap().to_owned();
        (temp, Dirs { config, exe: "/nowhere/dispatch".to_owned(), ..Dirs::default() })
    }

    #[test]
    fn a_file_never_takes_the_name_of_a_list_that_the_binary_carries() {
        let (_temp, dirs) = place("default", "[[extension]]\nid = \"mine\"\n");
        for wanted in [None, Some("default")] {
            let message = find(wanted, &dirs).unwrap_err().message;
            assert!(message.contains("builds/default.toml") && message.contains("rename it"), "{message}");
        }
        assert!(find(Some("minimal"), &dirs).is_ok());
        let (_temp, dirs) = place("default", BUILT_IN[0].1);
        assert!(find(None, &dirs).is_ok(), "a copy that says the same");
    }

    #[test]
    fn a_build_of_a_new_name_is_the_users_if_nobody_else_may_write_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (temp, dirs) = place("mine", "[[extension]]\nid = \"mine\"\n");
        assert_eq!(find(Some("mine"), &dirs).unwrap().entries.len(), 1);
        let file = temp.path().join("builds/mine.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(find(Some("mine"), &dirs).unwrap_err().message.contains("chmod go-w"));
    }

    #[test]
    fn a_list_of_the_binary_is_included_by_its_name_from_anywhere() {
        let (_temp, dirs) = place("mine", "include = [\"server\"]\nexclude = [\"tool-shell\"]\n");
        let list = find(Some("mine"), &dirs).unwrap();
        let has = |id: &str| list.entries.iter().any(|entry| entry.id.value == id);
        assert!(
            has("transport-http") && has("storage-sqlite") && !has("tool-shell") && !has("provider-demo")
        );
        let (_temp, dirs) = place("mine", "include = [\"serfer\"]\n");
        let message = find(Some("mine"), &dirs).unwrap_err().message;
        assert!(message.contains("did you mean `server`?"), "{message}");
    }
}
