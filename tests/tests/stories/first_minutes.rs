//! The first five minutes, when something is not there yet: each try ends by itself, with the documented code and a line
//! that says what to do.
//!
//! An endpoint that nobody listens at is told of in `retries.rs`, a tool that nobody can be asked for in `policy.rs`.

use crate::host::{Host, Ran};
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Seconds after which a try is ended from outside, which is no documented code.
const TRY_S: &str = "60";
/// Bytes that are read of an answer before its reader goes away.
const READ_BYTES: usize = 16;

/// A command that has a minute.
#[expect(clippy::disallowed_methods, reason = "the process under test, within its time")]
fn tried(command: Command) -> Ran {
    let mut bounded = Command::new("timeout");
    bounded.arg(TRY_S).arg(command.get_program()).args(command.get_args()).env_clear();
    bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded.current_dir(command.get_current_dir().expect("its own")).stdin(Stdio::null());
    Ran::of(bounded.output().expect("started"))
}

/// One line says what is wrong, and it holds these parts.
fn says(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{ran:?}");
    for part in parts {
        assert!(errors[0].contains(part), "`{part}` is missing: {ran:?}");
    }
    assert_eq!(ran.stdout, "", "an answer that nobody gave");
}

#[test]
fn without_a_key_both_ways_on_are_named() {
    let host = Host::new(Script::default());
    let ran = tried(host.bare(&["run", "hello"]));
    says(&ran, 78, &["OPENAI_API_KEY", "provider-openai-compat.base_url", "`demo`"]);
}

#[test]
fn a_wrong_key_names_the_setting_and_its_code_is_not_that_of_a_wrong_model() {
    let mut script = Script::rules(vec![Rule::always(vec![Action::text("never")])]);
    script.api_key = Some("right".to_owned());
    let host = Host::new(script);
    let ran = tried(host.command(&["--set", "provider-openai-compat.api_key=wrong", "hello"]));
    says(&ran, 77, &["401", "`api_key` of `provider-openai-compat`"]);
    assert_eq!(host.llm.requests().len(), 1, "a refused key is not tried again");

    let host = Host::new(Script::default());
    let ran = tried(host.command(&["--model", "nobody-has-this", "hello"]));
    says(&ran, 1, &["404", "check `base_url` and `model`"]);
}

#[test]
fn a_name_that_nobody_has_names_the_setting() {
    let host = Host::new(Script::default());
    let url = "provider-openai-compat.base_url=http://nobody.invalid/v1";
    let ran = tried(host.command(&["--set", url, "hello"]));
    says(&ran, 75, &["nobody.invalid", "check `base_url` of `provider-openai-compat`, the network"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let script = Script::rules(vec![Rule::always(vec![Action::text_deltas(100_000, 0)])]);
    let host = Host::new(script);
    let mut child =
        host.command(&["hello"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut reader = child.stdout.take().expect("piped");
    reader.read_exact(&mut [0; READ_BYTES]).expect("the answer begins");
    drop(reader);
    let ran = Ran::of(child.wait_with_output().expect("ended"));
    assert_eq!(ran.code, Some(141), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

/// Runs a turn where `mount` was done at the home; nobody outside sees it. `None`: there is no right to mount.
#[expect(clippy::disallowed_methods, reason = "a mount namespace is had by a process of its own")]
fn run_mounted(host: &Host, mount: &str) -> Option<Ran> {
    let home: &Path = host.home();
    let in_namespace = |namespaces: &[&str], script: &str| {
        let command = host.bare(&["run", "--provider", "demo", "hello"]);
        let mut inside = Command::new("unshare");
        inside.args(namespaces).args(["sh", "-c", &format!("{mount} && {script}"), "sh"]);
        inside.arg(command.get_program()).args(command.get_args()).env("HOME_DIR", home);
        inside.env("DISPATCH_HOME", home).current_dir(host.cwd()).stdin(Stdio::null());
        inside
    };
    for namespaces in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let may = in_namespace(namespaces, "true").output();
        if may.is_ok_and(|output| output.status.success()) {
            let mut inside = in_namespace(namespaces, &format!("exec timeout {TRY_S} \"$@\""));
            return Some(Ran::of(inside.output().expect("started")));
        }
    }
    // Past the harness, which holds back what a passing test prints.
    writeln!(std::io::stderr(), "first minutes: NO RIGHT TO MOUNT; `{mount}` was not tried")
        .expect("written");
    None
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let host = Host::new(Script::default());
    // Made as it is on other days, by a run that works.
    let before = tried(host.bare(&["run", "--provider", "demo", "hello"]));
    assert_eq!(before.code, Some(0), "{before:?}");
    let read_only = "mount --bind \"$HOME_DIR\" \"$HOME_DIR\" && mount -o remount,ro,bind \"$HOME_DIR\"";
    if let Some(ran) = run_mounted(&host, read_only) {
        let home = host.home().to_str().expect("UTF-8");
        says(&ran, 78, &[home, "Read-only file system", "make it writable or set DISPATCH_HOME"]);
    }
    let none = Host::new(Script::default());
    let file = none.write("file", "no directory");
    let mut command = none.bare(&["run", "--provider", "demo", "hello"]);
    command.env("DISPATCH_HOME", &file);
    let file = file.to_str().expect("UTF-8");
    says(&tried(command), 78, &["cannot make the directory", file, "set DISPATCH_HOME to one"]);
}

#[test]
fn a_full_disk_is_named_and_so_is_where() {
    let host = Host::new(Script::default());
    if let Some(ran) = run_mounted(&host, "mount -t tmpfs -o size=64k none \"$HOME_DIR\"") {
        let home = host.home().to_str().expect("UTF-8");
        says(&ran, 75, &[home, "No space left on device", "make room"]);
    }
}
