//! What surrounds a host: its environment, the umask that it was started with.

use crate::host::{Host, Ran};
use crate::operating::configure;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn host() -> Host {
    let call = Action::tool_call("shell", json!({ "command": "seq 1 200000" }));
    Host::new(Script::rules(vec![Rule::once(vec![call]), Rule::always(vec![Action::text("ok")])]))
}

fn with(host: &Host, words: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = host.bare(words);
    command.envs(variables.iter().copied());
    Ran::of(command.output().expect("started"))
}

#[test]
fn a_variable_that_means_nothing_is_told_and_a_value_that_means_nothing_is_refused() {
    let host = host();
    let demo = ["run", "--provider", "demo", "hi"];
    for (variable, value, said) in [
        (
            "DISPATCH_SET__PROVIDER_DEMOO__X",
            "1",
            "no instance `provider-demoo`; did you mean `DISPATCH_SET__PROVIDER_DEMO__X`?",
        ),
        ("DISPATCH_SET__NOBODY__X", "1", "the build has no instance `nobody`"),
        ("DISPATCH_HOEM", "/x", "did you mean `DISPATCH_HOME`?"),
    ] {
        let ran = with(&host, &demo, &[(variable, value)]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(variable) && ran.stderr.contains(said), "{}", ran.stderr);
        let doctor = with(&host, &["doctor"], &[(variable, value)]);
        assert!(
            doctor.stdout.contains("warn  variable") && doctor.stdout.contains(said),
            "{}",
            doctor.stdout
        );
    }
    for (variable, value, code, said) in [
        ("DISPATCH_SET__ORCHESTRATOR__TURNS_RUNING_MAX", "1", 78, "did you mean `turns_running_max`?"),
        ("DISPATCH_SET__ORCHESTRATOR__TURNS_RUNNING_MAX", "many", 78, "expected whole number"),
        ("DISPATCH_LOG", "nonsense", 2, "or TARGET=LEVEL"),
        ("DISPATCH_LOG_FORMAT", "yaml", 2, "`text` or as `json`"),
        ("DISPATCH_HOME", "here", 78, "which is not an absolute path"),
        ("HOME", "here", 78, "which is not an absolute path"),
    ] {
        let ran = with(&host, &demo, &[(variable, value)]);
        assert_eq!(ran.code, Some(code), "{variable}: {ran:?}");
        assert!(ran.stderr.contains(variable) && ran.stderr.contains(said), "{}", ran.stderr);
    }
    // One of an extension that this build leaves out is another build's.
    let ran = with(&host, &demo, &[("DISPATCH_SET__STORAGE_MEMORY__X", "1")]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("STORAGE_MEMORY"), "{ran:?}");
}

/// The same command, started under a umask.
#[expect(clippy::disallowed_methods, reason = "a shell sets the umask of the process under test")]
fn under(umask: &str, home: &Path, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.env_clear().envs(set).env("DISPATCH_HOME", home);
    shell.current_dir(command.get_current_dir().expect("set")).stdin(std::process::Stdio::null());
    shell
}

/// Everything from a path downwards that somebody but its user can do something with, and how many things there are.
fn open_to_others(path: &Path, open: &mut Vec<String>) -> usize {
    let meta = std::fs::symlink_metadata(path).expect("there");
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        open.push(format!("{} {mode:04o}", path.display()));
    }
    if !meta.is_dir() {
        return 1;
    }
    let entries = std::fs::read_dir(path).expect("a directory");
    1 + entries.map(|entry| open_to_others(&entry.expect("an entry").path(), open)).sum::<usize>()
}

#[test]
fn whatever_the_umask_nobody_else_gets_at_what_the_host_keeps() {
    for umask in ["0000", "0002"] {
        let host = host();
        // Made by the host, with all that is above it.
        let home = host.home().join("deep/home");
        let ended = |words: Command| {
            let ran = Ran::of(under(umask, &home, &words).output().expect("started"));
            assert_eq!(ran.code, Some(0), "{umask}: {ran:?}");
        };
        ended(host.command(&["--allow", "exec", "count"]));
        let mut init = host.bare(&["init", "--no-try", "--model", "scripted", "--base-url"]);
        init.arg(host.llm.base_url());
        ended(init);
        ended(host.bare(&["trust", "--force", "."]));
        ended(host.bare(&["backup", "create", home.join("backups/copy.db").to_str().expect("UTF-8")]));
        // What was written is believed, as it is.
        ended(host.bare(&["run", "again"]));
        let mut serve = host.bare(&["serve", "--json", "--listen", "127.0.0.1:0", "--listen"]);
        serve.arg(format!("unix:{}", home.join("run/socket").display()));
        let served = Served::spawn_at(&home, under(umask, &home, &serve));
        let mut open = Vec::new();
        let n_things = open_to_others(&host.home().join("deep"), &mut open);
        assert!(n_things > 20, "{umask}: it looked at {n_things} things");
        assert!(open.is_empty(), "{umask}: {open:#?}");
        served.signal("TERM");
        assert_eq!(served.wait(), Some(0));
    }
}

#[test]
fn a_configuration_that_its_user_wrote_under_a_shared_umask_is_read() {
    let host = host();
    // The host makes the directory, closed; an editor makes the file.
    assert_eq!(with(&host, &["ext", "list"], &[]).code, Some(0));
    configure(&host, "[provider-demo]\n");
    let config = host.home().join("config/config.toml");
    let set =
        |mode| std::fs::set_permissions(&config, std::fs::Permissions::from_mode(mode)).expect("changed");
    set(0o664);
    assert_eq!(with(&host, &["run", "--provider", "demo", "hi"], &[]).code, Some(0));
    set(0o666);
    assert_eq!(with(&host, &["run", "--provider", "demo", "hi"], &[]).code, Some(78));
}
