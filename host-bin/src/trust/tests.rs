//! What is trusted, what is not, and what a damaged file does.

use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use tempfile::TempDir;

struct Place {
    _temp: TempDir,
    root: PathBuf,
    trust: TrustFile,
}

fn place() -> Place {
    let temp = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(temp.path()).unwrap();
    for dir in ["data", "config", "good/inner", "bad"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let text = |dir: &str| root.join(dir).to_str().unwrap().to_owned();
    let trust = TrustFile::of(&Dirs { data: text("data"), config: text("config"), ..Dirs::default() });
    Place { _temp: temp, root, trust }
}

#[test]
fn a_directory_is_trusted_with_what_lies_below_it_and_nothing_beside_it() {
    let Place { root, trust, _temp } = place();
    assert!(!trust.trusts(&root.join("good")), "nobody said anything yet");
    trust.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    assert!(trust.trusts(&root.join("good")) && trust.trusts(&root.join("good/inner")));
    fs::create_dir(root.join("good2")).unwrap();
    for other in ["bad", "good2", "good/missing", "", "data", "good/../bad"] {
        assert!(!trust.trusts(&root.join(other)), "`{other}`");
    }
    assert!(trust.trusts(&root.join("config")), "the host's own configuration");
    fs::write(root.join("good/file"), "").unwrap();
    assert!(!trust.trusts(&root.join("good/file")), "a file is no directory");
}

#[test]
fn a_file_acts_with_the_content_that_was_looked_at_and_with_no_other() {
    let Place { root, trust, _temp } = place();
    let file = root.join("good/AGENTS.md");
    fs::write(&file, "be kind").unwrap();
    let (kind, other) = (dispatch_kernel::sha256(b"be kind"), dispatch_kernel::sha256(b"be sly"));
    trust.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    assert!(!trust.trusts_file(&file, &kind), "nobody looked at it");
    trust.change(|trusted| _ = trusted.files.insert(file.clone(), kind.clone())).unwrap();
    assert!(trust.trusts_file(&file, &kind) && !trust.trusts_file(&file, &other));
    symlink(&file, root.join("bad/AGENTS.md")).unwrap();
    assert!(trust.trusts_file(&root.join("bad/AGENTS.md"), &kind), "what it leads to is trusted");
    trust.change(|trusted| trusted.dirs.clear()).unwrap();
    assert!(!trust.trusts_file(&file, &kind), "a directory that is trusted no longer");
    fs::write(root.join("config/AGENTS.md"), "mine").unwrap();
    assert!(trust.trusts_file(&root.join("config/AGENTS.md"), &other), "the user's own");
}

#[test]
fn a_list_from_before_contents_were_bound_lends_its_files_nothing() {
    let Place { root, trust, _temp } = place();
    trust.change(|_| ()).unwrap();
    let old = json!({ "directories": [root.join("good")] });
    fs::write(trust.path(), old.to_string()).unwrap();
    fs::write(root.join("good/AGENTS.md"), "x").unwrap();
    assert!(trust.trusts(&root.join("good")));
    assert!(!trust.trusts_file(&root.join("good/AGENTS.md"), &dispatch_kernel::sha256(b"x")));
}

#[test]
fn links_lend_no_trust_in_either_direction() {
    let Place { root, trust, _temp } = place();
    trust.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    symlink(root.join("bad"), root.join("good/out")).unwrap();
    assert!(!trust.trusts(&root.join("good/out")), "a link out of a trusted directory");
    symlink(root.join("good"), root.join("bad/in")).unwrap();
    assert!(trust.trusts(&root.join("bad/in")), "what it leads to is trusted");
    assert!(!trust.trusts(&root.join("bad/in/../../bad")));
    // A trusted name that becomes a link to something else.
    fs::rename(root.join("good"), root.join("moved")).unwrap();
    symlink(root.join("bad"), root.join("good")).unwrap();
    assert!(!trust.trusts(&root.join("good")));
}

#[test]
fn git_lends_no_trust() {
    let Place { root, trust, _temp } = place();
    fs::create_dir_all(root.join("good/.git/worktrees/x")).unwrap();
    trust.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    // A worktree of a trusted repository, as git itself writes it, and one that only says so.
    let git_dir = root.join("good/.git/worktrees/x");
    fs::write(root.join("bad/.git"), format!("gitdir: {}\n", git_dir.display())).unwrap();
    assert!(!trust.trusts(&root.join("bad")));
    fs::remove_file(root.join("bad/.git")).unwrap();
    fs::create_dir(root.join("bad/.git")).unwrap();
    fs::write(root.join("bad/.git/commondir"), root.join("good/.git").display().to_string()).unwrap();
    assert!(!trust.trusts(&root.join("bad")));
}

#[test]
fn a_change_counts_at_once_in_whoever_asks() {
    let Place { root, trust, _temp } = place();
    let other = TrustFile { path: trust.path.clone(), own: trust.own.clone(), seen: Mutex::default() };
    other.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    assert!(trust.trusts(&root.join("good")));
    other.change(|trusted| trusted.dirs.clear()).unwrap();
    assert!(!trust.trusts(&root.join("good")));
}

#[test]
fn a_file_that_others_may_write_or_that_is_damaged_trusts_nothing_and_is_not_overwritten() {
    let Place { root, trust, _temp } = place();
    trust.change(|trusted| _ = trusted.dirs.insert(root.join("good"))).unwrap();
    assert_eq!(fs::metadata(trust.path()).unwrap().mode() & 0o777, 0o600);
    // 0644 is what a tool that writes files leaves behind.
    for mode in [0o620, 0o644, 0o602] {
        fs::set_permissions(trust.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(!trust.trusts(&root.join("good")), "{mode:o}");
        assert!(trust.trusted().unwrap_err().contains("`chmod 600`"));
    }
    fs::set_permissions(trust.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(trust.trusts(&root.join("good")));
    let deep = "[".repeat(100_000);
    for damaged in ["", "{}", "{\"directories\": [1]}", "{\"directories\": [\"relative\"]}", deep.as_str()] {
        fs::write(trust.path(), damaged).unwrap();
        assert!(!trust.trusts(&root.join("good")));
        let refused = trust.change(|trusted| _ = trusted.dirs.insert(root.join("bad"))).unwrap_err();
        assert!(refused.contains("damaged"), "{refused}");
        assert_eq!(fs::read_to_string(trust.path()).unwrap(), damaged);
    }
}

#[test]
fn of_many_that_change_it_at_once_nobody_is_lost() {
    let Place { root, trust, _temp } = place();
    let trust = Arc::new(trust);
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let (trust, dir) = (Arc::clone(&trust), root.join(format!("d{n}")));
            std::thread::spawn(move || {
                let own = TrustFile { path: trust.path.clone(), own: PathBuf::new(), seen: Mutex::default() };
                own.change(|trusted| _ = trusted.dirs.insert(dir)).unwrap();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(trust.trusted().unwrap().dirs.len(), 16);
}

#[test]
fn the_list_is_bounded() {
    let Place { trust, _temp, .. } = place();
    let paths = |most: usize| (0..=most).map(|n| PathBuf::from(format!("/{n}")));
    let dirs = |trusted: &mut Trusted| trusted.dirs.extend(paths(DIRS_MAX));
    assert!(trust.change(dirs).unwrap_err().contains("directories, at most"));
    let files =
        |trusted: &mut Trusted| trusted.files.extend(paths(FILES_MAX).map(|path| (path, String::new())));
    assert!(trust.change(files).unwrap_err().contains("files, at most"));
    assert!(trust.trusted().unwrap().dirs.is_empty());
}
