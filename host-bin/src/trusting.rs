//! `dispatch trust`: a person says which directories may act, no longer may, or asks which do.

use crate::argv::{Invocation, TrustOrder};
use crate::dirs;
use crate::exit::Refusal;
use crate::output::out;
use crate::project_files::ProjectFiles;
use crate::trust::TrustFile;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(crate) fn run(invocation: &Invocation, order: &TrustOrder) -> Result<u8, Refusal> {
    let trust = TrustFile::of(&dirs::make(&invocation.environment)?);
    match order {
        TrustOrder::List { json } => list(&trust, *json),
        TrustOrder::Revoke(dir) => revoke(&trust, dir),
        TrustOrder::Trust { dir, force } => {
            add(&trust, dir, *force, invocation.environment.get("HOME").map(Path::new))
        }
    }
}

fn list(trust: &TrustFile, as_json: bool) -> Result<u8, Refusal> {
    let dirs = trust.trusted().map_err(Refusal::config)?.dirs;
    let listed: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    if as_json {
        return out(&format!("{:#}\n", json!({ "directories": listed })));
    }
    out(&listed.iter().map(|dir| format!("{dir}\n")).collect::<String>())
}

fn add(trust: &TrustFile, dir: &Path, force: bool, home: Option<&Path>) -> Result<u8, Refusal> {
    let cannot = |what: String| Refusal::failed(format!("cannot trust {}: {what}", dir.display()));
    let real = fs::canonicalize(dir).map_err(|e| cannot(e.to_string()))?;
    if !real.is_dir() {
        return Err(cannot("it is not a directory".to_owned()));
    }
    if real.to_str().is_none() {
        return Err(cannot("its path is not UTF-8".to_owned()));
    }
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    if let Some(reason) = too_much(&real, home.as_deref()).filter(|reason| !force || !reason.with_force) {
        let way = if reason.with_force {
            "name a directory in it, or add `--force`"
        } else {
            "name a directory in it"
        };
        return Err(cannot(format!("{}; {way}", reason.what)));
    }
    let ProjectFiles { files, left_out } = ProjectFiles::of(&real)?;
    let mut text = format!("trusted: {}\n", real.display());
    for file in &files {
        text.push_str(&format!("  {}\n", file.path.display()));
        text.extend(file.says.iter().map(|line| format!("      {line}\n")));
    }
    if files.is_empty() {
        text.push_str("  nothing in it acts so far; what is added later is asked about\n");
    }
    text.extend(left_out.iter().map(|line| format!("  left out: {line}\n")));
    trust
        .change(|trusted| {
            trusted.files.retain(|file, _| !file.starts_with(&real));
            trusted.files.extend(files.into_iter().map(|file| (file.path, file.sha256)));
            trusted.dirs.insert(real);
        })
        .map_err(Refusal::failed)?;
    out(&text)
}

/// Why a directory is too large a promise.
struct TooMuch {
    what: &'static str,
    /// Whether a person may insist.
    with_force: bool,
}

fn too_much(real: &Path, home: Option<&Path>) -> Option<TooMuch> {
    if real.parent().is_none() {
        return Some(TooMuch { what: "that is everything there is", with_force: false });
    }
    if home.is_some_and(|home| home.starts_with(real)) {
        let what = "that is your whole home directory, with whatever is ever unpacked there";
        return Some(TooMuch { what, with_force: true });
    }
    let others_write = fs::metadata(real).is_ok_and(|meta| meta.mode() & 0o002 != 0);
    others_write
        .then_some(TooMuch { what: "every user of this machine may put things there", with_force: true })
}

fn revoke(trust: &TrustFile, dir: &Path) -> Result<u8, Refusal> {
    // A directory that is gone is revoked by the name it had.
    let named = fs::canonicalize(dir)
        .or_else(|_| std::path::absolute(dir))
        .map_err(|e| Refusal::failed(format!("cannot revoke {}: {e}", dir.display())))?;
    let names: [&Path; 2] = [&named, dir];
    let mut found = false;
    let left = trust
        .change(|trusted| {
            for name in names {
                found |= trusted.dirs.remove(name);
            }
            let dirs = &trusted.dirs;
            trusted.files.retain(|file, _| file.ancestors().any(|above| dirs.contains(above)));
        })
        .map_err(Refusal::failed)?
        .dirs;
    let above: Option<&PathBuf> = named.ancestors().skip(1).find_map(|above| left.get(above));
    match (found, above) {
        (true, None) => out(&format!("no longer trusted: {}\n", named.display())),
        (true, Some(above)) => out(&format!(
            "no longer listed: {}\nit is still trusted, because {} is\n",
            named.display(),
            above.display()
        )),
        (false, Some(above)) => Err(Refusal::failed(format!(
            "cannot revoke {}: it is trusted because {} is; revoke that",
            named.display(),
            above.display()
        ))),
        (false, None) => Err(Refusal::failed(format!(
            "cannot revoke {}: it is not trusted; `dispatch trust --list` shows what is",
            named.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_contracts::kernel::Dirs;
    use dispatch_kernel::Trust as _;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    fn place() -> (TempDir, PathBuf, TrustFile) {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        for dir in ["data", "home/project", "shared"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let data = root.join("data").to_str().unwrap().to_owned();
        let trust = TrustFile::of(&Dirs { data, ..Dirs::default() });
        (temp, root, trust)
    }

    fn refused(done: Result<u8, Refusal>) -> String {
        done.expect_err("it is refused").message
    }

    #[test]
    fn the_root_is_never_trusted_and_a_home_only_by_force() {
        let (_temp, root, trust) = place();
        let home = root.join("home");
        for force in [false, true] {
            assert!(refused(add(&trust, Path::new("/"), force, Some(&home))).contains("everything"));
        }
        for dir in [&home, &root] {
            let message = refused(add(&trust, dir, false, Some(&home)));
            assert!(message.contains("home directory") && message.contains("`--force`"), "{message}");
        }
        assert!(trust.trusted().unwrap().dirs.is_empty());
        add(&trust, &home.join("project"), false, Some(&home)).unwrap();
        add(&trust, &home, true, Some(&home)).unwrap();
        assert!(trust.trusts(&home));
    }

    #[test]
    fn trusting_binds_what_is_there_and_trusting_again_what_has_become_of_it() {
        let (_temp, root, trust) = place();
        let project = root.join("home/project");
        let file = project.join("AGENTS.md");
        let is_trusted = |text: &str| trust.trusts_file(&file, &dispatch_kernel::sha256(text.as_bytes()));
        fs::write(&file, "first").unwrap();
        add(&trust, &project, false, None).unwrap();
        assert!(is_trusted("first") && !is_trusted("second"));
        fs::write(&file, "second").unwrap();
        add(&trust, &project, false, None).unwrap();
        assert!(is_trusted("second") && !is_trusted("first"));
        revoke(&trust, &project).unwrap();
        assert!(trust.trusted().unwrap().files.is_empty());
    }

    #[test]
    fn a_project_that_says_where_keys_go_is_not_trusted() {
        let (_temp, root, trust) = place();
        let project = root.join("home/project");
        fs::create_dir(project.join(".dispatch")).unwrap();
        fs::write(project.join(".dispatch/config.toml"), "[toy]\nbase_url = \"http://evil\"\n").unwrap();
        let message = refused(add(&trust, &project, false, None));
        assert!(message.contains("config.toml:2: `toy.base_url` is an address"), "{message}");
        assert!(!trust.trusts(&project));
    }

    #[test]
    fn where_everybody_writes_nothing_is_trusted_in_passing() {
        let (_temp, root, trust) = place();
        let shared = root.join("shared");
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(refused(add(&trust, &shared, false, None)).contains("every user"));
        add(&trust, &shared, true, None).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let (_temp, root, trust) = place();
        fs::write(root.join("file"), "").unwrap();
        assert!(refused(add(&trust, &root.join("file"), true, None)).contains("not a directory"));
        assert!(refused(add(&trust, &root.join("none"), true, None)).contains("No such file"));
    }

    #[test]
    fn revoking_says_what_still_holds() {
        let (_temp, root, trust) = place();
        let project = root.join("home/project");
        assert!(refused(revoke(&trust, &project)).contains("it is not trusted"));
        trust.change(|trusted| trusted.dirs.extend([root.join("home"), project.clone()])).unwrap();
        revoke(&trust, &project).unwrap();
        assert!(trust.trusts(&project), "its parent is");
        assert!(refused(revoke(&trust, &project)).contains("revoke that"));
        fs::remove_dir_all(root.join("home")).unwrap();
        revoke(&trust, &root.join("home")).unwrap();
        assert!(trust.trusted().unwrap().dirs.is_empty(), "a directory that is gone is revoked too");
    }
}
