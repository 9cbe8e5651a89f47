//! What others of the same user can see of a host: no key in the environment and the command line that it was started
//! with, nothing of its memory; and what a file must be to be believed.
//!
//! The process is looked at with `--debuggable` where its environment is read, so that it is not the closed memory alone
//! that hides it.

use crate::host::{Host, Ran};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

/// Most lines of a log among which one is looked for.
const LOOKED_AT_MAX: usize = 10_000;

fn talkative() -> Host {
    Host::new(Script::rules(vec![Rule::always(vec![Action::text("ok")])]))
}

/// What the system shows of a process, as text.
fn shown(pid: u32, file: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).expect("debuggable, so it can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_environment_and_the_command_line_of_a_host_show_no_key_and_it_knows_them_all_the_same() {
    let host = talkative();
    let mut command = host.bare(&["serve", "--listen", "127.0.0.1:0", "--json", "--debuggable"]);
    command
        .args(["--set", &format!("provider-openai-compat.base_url={}", host.llm.base_url())])
        .args(["--set", "provider-openai-compat.model=scripted"])
        .args(["--set", "provider-openai-compat.headers.x-extra=canary-header"])
        .env("OPENAI_API_KEY", "sk-canary-environment")
        .env("DISPATCH_SET__PROVIDER_OPENAI_COMPAT__HEADERS__X_MORE", "canary-variable")
        .env("HARMLESS", "harmless-value")
        .env("DISPATCH_LOG", "info")
        .stderr(Stdio::piped());
    let mut served = Served::spawn(&host, command);
    let mut log = BufReader::new(served.stderr());
    let (environment, words) = (shown(served.pid(), "environ"), shown(served.pid(), "cmdline"));
    assert!(!environment.contains("canary") && environment.contains("harmless-value"), "{environment}");
    assert!(!words.contains("canary") && words.contains("x-extra=***"), "{words}");
    let turn = served.turn(&served.conversation(), &json!({ "input": "hi" }));
    assert_eq!(crate::host::only(&turn, "turn_ended")["status"], "completed", "{turn:#?}");
    let requests = host.llm.requests();
    assert_eq!(requests[0].header("authorization"), Some("Bearer sk-canary-environment"));
    assert_eq!(requests[0].header("x-extra"), Some("canary-header"));
    // The key is known to whoever composes the configuration again.
    served.signal("HUP");
    let mut line = String::new();
    for _ in 0..LOOKED_AT_MAX {
        line.clear();
        assert!(log.read_line(&mut line).expect("readable") > 0, "the log ended");
        if line.contains("reloaded: ") {
            break;
        }
        assert!(!line.contains("needs a restart") && !line.contains("not set"), "{line}");
    }
    assert!(line.contains("nothing has changed"), "{line}");
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
}

/// The status of a check of the host itself.
fn checked(host: &Host, words: &[&str], name: &str) -> (String, String) {
    let ran = Ran::of(host.bare(&["doctor", "--json"]).args(words).output().expect("started"));
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let checks = document["groups"][0]["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{document:#}"));
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    (text("status"), text("summary"))
}

#[test]
fn nobody_of_the_same_user_reads_the_memory_of_a_host_unless_it_is_debuggable() {
    let host = talkative();
    assert_eq!(checked(&host, &[], "memory").0, "ok");
    let (status, summary) = checked(&host, &["--debuggable"], "memory");
    assert_eq!(status, "warn");
    assert!(summary.contains("may read this process' memory"), "{summary}");
}

#[test]
fn a_build_that_a_tool_left_under_a_known_name_is_refused_and_so_is_a_configuration_that_others_may_write() {
    let host = talkative();
    std::fs::create_dir_all(host.home().join("config/builds")).expect("made");
    let build = host.home().join("config/builds/default.toml");
    std::fs::write(&build, "include = [\"minimal\"]\npolicy = { exec = \"allow\" }\n").expect("written");
    let ran = host.run(&["hi"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.stderr.contains("builds/default.toml") && ran.stderr.contains("rename it"), "{}", ran.stderr);
    std::fs::rename(&build, host.home().join("config/builds/mine.toml")).expect("renamed");
    assert_eq!(host.run(&["hi"]).code, Some(0));
    assert_eq!(host.run(&["--build", "mine", "hi"]).code, Some(0));
    let config = host.home().join("config/config.toml");
    std::fs::write(&config, "[exec-local]\nenv_also = [\"PATH\"]\n").expect("written");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).expect("changed");
    let ran = host.run(&["hi"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.stderr.contains("chmod go-w"), "{}", ran.stderr);
}

#[test]
fn a_projects_files_act_as_they_were_looked_at_and_ask_again_when_they_are_changed() {
    let host = talkative();
    std::fs::create_dir(host.cwd().join(".dispatch")).expect("made");
    host.write(".dispatch/config.toml", "[system-prompt]\ntemplate = \"by-project {agents}\"\n");
    host.write("AGENTS.md", "by-agents-file\n");
    let trusted = Ran::of(host.bare(&["trust", "."]).output().expect("started"));
    assert_eq!(trusted.code, Some(0), "{trusted:?}");
    for part in
        ["system-prompt.template = \"by-project {agents}\"", "AGENTS.md", "instructions for the model"]
    {
        assert!(trusted.stdout.contains(part), "{part}: {}", trusted.stdout);
    }
    let prompt = || {
        let (ran, events) = host.events(&["hi"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let requests = host.llm.requests();
        let messages = requests.last().expect("a request").messages().to_vec();
        let system =
            messages.iter().find(|message| message["role"] == "system").expect("a prompt").to_string();
        (system, format!("{}{}", ran.stderr, json!(events)))
    };
    let (before, _) = prompt();
    assert!(before.contains("by-project") && before.contains("by-agents-file"), "{before}");
    host.write("AGENTS.md", "by-somebody-else\n");
    let (changed, said) = prompt();
    assert!(changed.contains("by-project") && !changed.contains("by-somebody-else"), "{changed}");
    assert!(said.contains("AGENTS.md`") && said.contains("dispatch trust /"), "{said}");
    host.write(".dispatch/config.toml", "[system-prompt]\ntemplate = \"by-somebody {agents}\"\n");
    let (changed, said) = prompt();
    assert!(!changed.contains("by-somebody"), "{changed}");
    assert!(said.contains("it is not as it was when"), "{said}");
    host.write(".dispatch/config.toml", "[provider-openai-compat]\nbase_url = \"http://127.0.0.1:9/v1\"\n");
    let refused = Ran::of(host.bare(&["trust", "."]).output().expect("started"));
    assert!(
        refused.stderr.contains("config.toml:2: `provider-openai-compat.base_url` is an address"),
        "{refused:?}"
    );
}
