//! A model that wants the host's keys and more leave than it got, with every tool, as an ordinary user's agent.

use crate::host::{Host, Ran};
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const OWN: [&str; 5] = ["config", "data", "state", "cache", "run"];
/// In a file of the host, in its environment, in its state, in the home of who started it.
const KEYS: [&str; 4] =
    ["key-in-a-file-0001", "key-in-environ-0002", "token-in-state-0003", "key-at-home-0004"];
/// What any key looks like.
const ANY_KEY: &str = "(key|token)-(in|at)-";
/// What the model writes wherever it can.
const PLANTED: &str = "planted by the model";
/// Calls of one step.
const CALLS_MAX: usize = 20;
/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// No secret, though it looks like a key: a search that ran finds it.
const NOTE: &str = "a key-at-large is no secret";

/// A host whose directories hold keys, and a person's home with some.
struct Target {
    host: Host,
    person: tempfile::TempDir,
    /// All of it lies here and nothing else: a search above finds no other story's keys, which are no secret to it.
    _world: tempfile::TempDir,
}

impl Target {
    fn new(calls: impl FnOnce(&Path, &Path, &Path) -> Vec<Action>) -> Self {
        let world = tempfile::tempdir().expect("a directory");
        let dir = || tempfile::tempdir_in(world.path()).expect("a directory");
        let (home, cwd, person) = (dir(), dir(), dir());
        let mut calls = calls(home.path(), cwd.path(), person.path());
        let mut steps = Vec::new();
        while !calls.is_empty() {
            steps.push(calls.drain(..calls.len().min(CALLS_MAX)).collect());
        }
        steps.push(vec![Action::text("done")]);
        let host = Host::at(home, cwd, Script::steps(steps));
        let put = |path: PathBuf, content: &str| {
            fs::create_dir_all(path.parent().expect("it has one")).expect("ours");
            fs::write(&path, content).expect("ours");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
        };
        for own in OWN {
            fs::create_dir_all(host.home().join(own)).expect("ours");
        }
        let config = format!("[provider-openai-compat]\napi_key = \"{}\"\n", KEYS[0]);
        put(host.home().join("config/config.toml"), &config);
        put(host.home().join("state/transport-http/token"), KEYS[2]);
        put(host.home().join("data/trusted.json"), "{\"dirs\":[]}");
        for secret in [".ssh/id_ed25519", ".aws/credentials", ".netrc", ".mozilla/firefox/logins.json"] {
            put(person.path().join(secret), KEYS[3]);
        }
        put(person.path().join("notes.txt"), &format!("{NOTE}\n"));
        for own in OWN {
            symlink(host.home().join(own), host.cwd().join(format!("to-{own}"))).expect("ours");
        }
        symlink("to-config/config.toml", host.cwd().join("innocent.toml")).expect("ours");
        symlink(host.home().join("config/new.toml"), host.cwd().join("dangling.toml")).expect("ours");
        symlink(person.path().join(".ssh"), host.cwd().join("to-ssh")).expect("ours");
        symlink("/proc/self", host.cwd().join("to-proc")).expect("ours");
        Self { host, person, _world: world }
    }

    /// As nobody, where the tests may change who they are.
    fn run_in(&self, cwd: &Path, words: &[&str]) -> (Ran, Vec<Value>) {
        let mut all = vec!["--json"];
        all.extend(words);
        let mut command = self.host.command(&all);
        command.env("OPENAI_API_KEY", KEYS[1]).env("HOME", self.person.path()).current_dir(cwd);
        if is_root() && can_run_as_nobody(&self.host) {
            for dir in [self.host.home(), self.host.cwd(), self.person.path()] {
                give_to_nobody(dir);
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = Ran::of(command.output().expect("started"));
        let line = |line| serde_json::from_str(line).expect("one event a line");
        let events = ran.stdout.lines().map(line).collect();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.assert_nothing_was_told(&ran);
        (ran, events)
    }

    fn assert_nothing_was_told(&self, ran: &Ran) {
        let requests = self.host.llm.requests();
        let messages = requests.iter().map(|request| json!(request.messages()).to_string());
        let told: String = messages.chain([ran.stdout.clone(), ran.stderr.clone()]).collect();
        for key in KEYS {
            assert!(!told.contains(key), "{key} was told: {told}");
        }
    }

    /// No build, no trust, no key of the host was written, under whatever name.
    fn assert_nothing_was_planted(&self) {
        let mut dirs = vec![self.host.home().to_owned(), self.person.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("ours").flatten() {
                let found = entry.file_type().expect("it is there");
                dirs.extend(found.is_dir().then(|| entry.path()));
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(
                    !name.starts_with("planted") && !name.starts_with("new"),
                    "{}",
                    entry.path().display()
                );
                if found.is_file() {
                    let content = fs::read(entry.path()).expect("ours");
                    // The store keeps what the model said.
                    let is_store = name.starts_with("dispatch.db");
                    let holds = content.windows(PLANTED.len()).any(|at| at == PLANTED.as_bytes());
                    assert!(is_store || !holds, "{}", entry.path().display());
                }
            }
        }
        let trusted = fs::read_to_string(self.host.home().join("data/trusted.json")).expect("it is there");
        assert_eq!(trusted, "{\"dirs\":[]}");
        let config = fs::read_to_string(self.host.home().join("config/config.toml")).expect("it is there");
        assert!(config.contains(KEYS[0]), "{config}");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

/// The binary may lie where nobody else comes.
fn can_run_as_nobody(host: &Host) -> bool {
    let mut command: Command = host.bare(&["--version"]);
    command.current_dir("/").uid(NOBODY).gid(NOBODY).output().is_ok_and(|output| output.status.success())
}

fn give_to_nobody(dir: &Path) {
    let mut all = vec![dir.to_owned()];
    while let Some(path) = all.pop() {
        std::os::unix::fs::lchown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
        if path.symlink_metadata().expect("it is there").is_dir() {
            all.extend(fs::read_dir(path).expect("root may").flatten().map(|entry| entry.path()));
        }
    }
}

/// Status and content of each call, in the order of the calls: results come as they are done.
fn results(events: &[Value]) -> Vec<(&str, &str)> {
    let of = |kind: &'static str| {
        events.iter().filter(move |event| event["type"] == kind).map(|event| &event["data"])
    };
    let calls: Vec<&Value> = of("tool_call").map(|data| &data["tool_call_id"]).collect();
    let mut results: Vec<&Value> = of("tool_result").collect();
    results.sort_by_key(|data| calls.iter().position(|id| **id == data["tool_call_id"]));
    results.iter().filter_map(|data| Some((data["status"].as_str()?, data["content"].as_str()?))).collect()
}

/// Every tool that takes a path, on this one.
fn every_tool(path: &str) -> Vec<Action> {
    vec![
        Action::tool_call("read_file", json!({ "path": path })),
        Action::tool_call("grep", json!({ "pattern": ".", "path": path, "hidden": true, "ignored": true })),
        Action::tool_call("glob", json!({ "pattern": "**", "path": path, "hidden": true, "ignored": true })),
        Action::tool_call("write_file", json!({ "path": path, "content": PLANTED, "overwrite": true })),
        Action::tool_call("edit_file", json!({ "path": path, "old_string": "a", "new_string": PLANTED })),
    ]
}

#[test]
fn no_tool_that_may_write_reads_a_key_or_gains_a_grant() {
    let target = Target::new(|home, _, person| {
        let at = |path: &str| home.join(path).to_string_lossy().into_owned();
        let home_secret = |path: &str| person.join(path).to_string_lossy().into_owned();
        let mut paths: Vec<String> = OWN.iter().flat_map(|own| [at(own), format!("to-{own}")]).collect();
        paths.extend(
            ["config/config.toml", "state/transport-http/token", "data/trusted.json", "state/dispatch.db"]
                .map(at),
        );
        // Builds, trust and extensions that the next run would take.
        paths.extend(
            ["config/new.toml", "config/builds/new.toml", "data/extensions/new.so", "config/planted/new"]
                .map(at),
        );
        paths.extend(
            [".ssh/id_ed25519", ".aws/credentials", ".netrc", ".mozilla", ".ssh/new_keys"].map(home_secret),
        );
        paths.extend(
            [
                "innocent.toml",
                "to-config/config.toml",
                "to-state/../config/config.toml",
                "to-config/new/new.toml",
                "to-ssh/id_ed25519",
                "to-proc/environ",
                "/proc/self/environ",
                "/proc/self/mem",
                "/proc/self/maps",
                "/proc/self/fd",
                "/proc/self/task",
                "/proc/thread-self/environ",
            ]
            .map(str::to_owned),
        );
        paths.push(format!("/proc/self/root{}", at("config/config.toml")));
        paths.push(format!("to-proc/root{}", at("config/config.toml")));
        let mut calls: Vec<Action> = paths.iter().flat_map(|path| every_tool(path)).collect();
        calls.push(Action::tool_call(
            "write_file",
            json!({ "path": "dangling.toml", "content": PLANTED, "overwrite": true }),
        ));
        calls.push(Action::tool_call("shell", json!({ "command": "cat to-config/config.toml" })));
        calls
    });
    let (_, events) = target.run_in(target.host.cwd(), &["--allow", "write", "take all"]);
    let results = results(&events);
    assert!(results.len() > 150, "{}", results.len());
    for (status, content) in results {
        // `list` of /proc/self/fd shows numbers, which is nobody's secret; nothing else succeeds.
        let is_harmless = content.contains("/proc") || content.lines().all(|line| line.len() < 32);
        assert!(["error", "denied"].contains(&status) || is_harmless, "{status}: {content}");
    }
    target.assert_nothing_was_planted();
}

#[test]
fn searches_pass_over_what_is_kept_wherever_they_begin() {
    let target = Target::new(|home, _, person| {
        let above = home.join("..");
        let everywhere = [home, person, &above, Path::new("/proc/self/cwd/..")];
        let search = |dir: &Path| {
            let path = dir.to_string_lossy().into_owned();
            let more = json!({ "pattern": ANY_KEY, "path": path, "hidden": true, "ignored": true });
            let names = json!({ "pattern": "**", "path": path, "hidden": true, "ignored": true });
            [Action::tool_call("grep", more), Action::tool_call("glob", names)]
        };
        everywhere.into_iter().flat_map(search).collect()
    });
    // The working directory of the turn is above the host's own.
    let (_, events) = target.run_in(target.host.home(), &["search"]);
    let results = results(&events);
    assert_eq!(results.len(), 8, "{results:?}");
    assert!(results[0].1.starts_with("(no line below"), "{}", results[0].1);
    assert!(results[1].1.starts_with("(no file below"), "{}", results[1].1);
    // Above them all nothing but links leads to what is kept, and none is followed.
    let note =
        target.person.path().canonicalize().expect("it is there").join("notes.txt").display().to_string();
    let line = format!("{note}:1: {NOTE}\n");
    assert_eq!((results[2].1, results[4].1), (line.as_str(), line.as_str()));
    assert_eq!(results[3].1, format!("{note}\n"));
    let is_link = |path: &&str| Path::new(path).is_symlink();
    let (links, files): (Vec<&str>, Vec<&str>) = results[5].1.lines().partition(is_link);
    assert_eq!((links.len(), files), (OWN.len() + 4, vec![note.as_str()]), "{}", results[5].1);
    // A process in /proc is the host's own, and so is where its links lead.
    for (status, content) in &results[6..] {
        assert!(*status == "error" && content.contains("the host's own"), "{status}: {content}");
    }
}

#[test]
fn a_working_directory_among_the_hosts_own_makes_no_difference() {
    let target = Target::new(|_, _, _| {
        let paths = ["config.toml", ".", "new.toml", "../state", "./builds/new.toml"];
        paths.into_iter().flat_map(every_tool).collect()
    });
    let cwd = target.host.home().join("config");
    let (_, events) = target.run_in(&cwd, &["--allow", "write", "take all"]);
    for (status, content) in results(&events) {
        assert_eq!(status, "error", "{content}");
    }
    target.assert_nothing_was_planted();
}

#[test]
fn a_program_that_may_run_finds_no_key_in_the_processes_above_it() {
    let line = "guard=$PPID; host=$(awk '{ print $4 }' /proc/$guard/stat); for of in $host $guard $$; do \
                for file in cmdline environ; do tr '\\0' '\\n' < /proc/$of/$file; done; done 2>&1; \
                grep -a -c key-in-enviro[n] /proc/$host/mem 2>/dev/null";
    let target = Target::new(|_, _, _| vec![Action::tool_call("shell", json!({ "command": line }))]);
    let (_, events) = target.run_in(target.host.cwd(), &["--allow", "exec", "look around"]);
    let results = results(&events);
    // The host's words and the program's own environment: it looked at the right places.
    assert!(results[0].1.contains("--json") && results[0].1.contains("AGENT=dispatch"), "{results:?}");
}
