//! `cargo dist`: what it lays runs from there, from where it is unpacked and through a link, with nothing else around.

use house::{bin_dir, library_name};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What has been built, laid with these words.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn dist(from: &Path, words: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dev"));
    command.arg("dist").arg("--from").arg(from).args(words);
    command.output().expect("started")
}

/// A binary with an empty home and nothing of this machine but the path.
#[expect(clippy::disallowed_methods, reason = "the process under test")]
fn run(binary: &Path, words: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(binary);
    command.args(words).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    command.current_dir(home.path()).output().expect("started")
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("readable");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Runs a turn and the build that wants most.
fn works(binary: &Path) {
    let turn = run(binary, &["run", "--provider", "demo", "hello"]);
    assert!(turn.status.success(), "{turn:?}");
    let server = run(binary, &["build", "check", "server"]);
    assert!(server.status.success(), "{server:?}");
}

#[test]
fn what_is_laid_below_a_prefix_runs_from_there_and_takes_the_place_of_itself_alone() {
    let root = dir();
    let prefix = root.path().join("prefix");
    let laid = dist(&bin_dir(), &[Path::new("--prefix"), &prefix]);
    assert!(laid.status.success(), "{laid:?}");
    let binary = prefix.join("bin/dispatch");
    works(&binary);
    let link = root.path().join("d");
    std::os::unix::fs::symlink(&binary, &link).expect("linked");
    works(&link);

    let libraries = names(&prefix.join("lib/dispatch"));
    assert!(libraries.iter().all(|name| name.starts_with("libext_")), "toys are for tests: {libraries:?}");
    for unit in ["lib/systemd/system/dispatch.service", "lib/systemd/user/dispatch.service"] {
        let text = std::fs::read_to_string(prefix.join(unit)).expect(unit);
        assert!(text.contains(&format!("\nExecStart={} serve", binary.display())), "{text}");
    }
    for (place, part) in [
        ("share/bash-completion/completions/dispatch", "--conversation"),
        ("share/zsh/site-functions/_dispatch", "#compdef dispatch"),
        ("share/fish/vendor_completions.d/dispatch.fish", "conversation"),
        ("share/man/man1/dispatch.1", "dispatch run"),
        ("share/doc/dispatch/LICENSE-MIT", "MIT"),
        ("share/doc/dispatch/LICENSE-APACHE", "Apache"),
    ] {
        assert!(std::fs::read_to_string(prefix.join(place)).expect(place).contains(part), "{place}");
    }

    let others = prefix.join("bin/another");
    std::fs::write(&others, "kept").expect("written");
    std::fs::write(prefix.join("share/man/man1/dispatch.1"), "old").expect("written");
    let again = dist(&bin_dir(), &[Path::new("--prefix"), &prefix]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(std::fs::read_to_string(&others).expect("kept"), "kept");
    assert!(std::fs::read_to_string(prefix.join("share/man/man1/dispatch.1")).expect("laid").contains(".TH"));
    assert_eq!(names(&prefix), ["bin", "lib", "share"], "nothing of the making stays");
}

#[test]
fn what_does_not_hold_lays_nothing() {
    let root = dir();
    let built = root.path().join("built");
    std::fs::create_dir(&built).expect("made");
    for name in names(&bin_dir()).iter().filter(|name| *name == "dispatch" || name.starts_with("libext_")) {
        if name.as_str() == library_name("cli") || name.as_str() == library_name("exec-local") {
            std::fs::write(built.join(name), "no library").expect("written");
        } else if bin_dir().join(name).extension().is_none_or(|end| end == "so") {
            std::os::unix::fs::symlink(bin_dir().join(name), built.join(name)).expect("linked");
        }
    }
    let prefix = root.path().join("prefix");
    let broken = dist(&built, &[Path::new("--prefix"), &prefix]);
    let said = String::from_utf8_lossy(&broken.stderr);
    assert!(!broken.status.success() && said.contains("what was laid does not run"), "{said}");
    std::fs::remove_file(built.join(library_name("cli"))).expect("removed");
    let missing = dist(&built, &[Path::new("--prefix"), &prefix]);
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success() && said.contains("cannot copy"), "{said}");
    assert_eq!(names(root.path()), ["built"], "neither a prefix nor what was made aside");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the system's tar")]
fn a_tarball_is_the_same_each_time_and_runs_where_it_is_unpacked() {
    let root = dir();
    let [first, second]: [PathBuf; 2] = ["a.tar.gz", "b.tar.gz"].map(|name| root.path().join(name));
    for file in [&first, &second] {
        let made = dist(&bin_dir(), &[Path::new("--tarball"), file]);
        assert!(made.status.success(), "{made:?}");
    }
    let same = std::fs::read(&first).expect("made") == std::fs::read(&second).expect("made");
    assert!(same, "two tarballs of the same files differ");
    let elsewhere = root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let unpacked = Command::new("tar").arg("-xzf").arg(&first).current_dir(&elsewhere).status();
    assert!(unpacked.expect("tar is there").success());
    let top = names(&elsewhere);
    assert_eq!(top.len(), 1, "{top:?}");
    works(&elsewhere.join(&top[0]).join("bin/dispatch"));
}
