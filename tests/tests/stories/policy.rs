//! What tools may do: allowed, denied without anybody to ask, asked on a terminal.

use crate::host::{Host, only};
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::json;

fn touch_then_answer() -> Script {
    Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": "echo made > made.txt && cat made.txt" }))],
        vec![Action::text("{{last_tool_result}}")],
    ])
}

#[test]
fn without_a_terminal_a_tool_that_runs_programs_is_denied_and_the_model_is_told() {
    let host = Host::new(touch_then_answer());
    let (ran, events) = host.events(&["make it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "tool_result")["status"], "denied");
    assert!(!host.cwd().join("made.txt").exists());
    let requests = host.llm.requests();
    let told = requests[1].messages();
    let told = told.last().expect("the result")["content"].as_str().expect("text").to_owned();
    assert!(told.contains("--allow exec"), "{told}");
}

#[test]
fn an_allowed_effect_runs_without_asking() {
    let host = Host::new(touch_then_answer());
    let (ran, events) = host.events(&["--allow", "write,exec", "make it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "tool_result")["status"], "ok");
    assert_eq!(std::fs::read_to_string(host.cwd().join("made.txt")).expect("made"), "made\n");
}

#[test]
fn the_environment_of_a_program_holds_no_key() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": "env" }))],
        vec![Action::text("ok")],
    ]));
    let mut command = host.command(&["--json", "--allow", "exec", "show"]);
    command.env("OPENAI_API_KEY", "sk-canary").env("AWS_SECRET_ACCESS_KEY", "canary-too");
    let ran = crate::host::Ran::of(command.output().expect("started"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("PATH=") && !ran.stdout.contains("canary"), "{}", ran.stdout);
}

#[test]
fn the_hosts_own_environment_is_no_file_that_a_model_can_read() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("read_file", json!({ "path": "/proc/self/environ" }))],
        vec![Action::text("{{last_tool_result}}")],
    ]));
    let mut command = host.command(&["--json", "show"]);
    command.env("OPENAI_API_KEY", "sk-canary");
    let ran = crate::host::Ran::of(command.output().expect("started"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("tool_result") && !ran.stdout.contains("canary"), "{}", ran.stdout);
}

#[test]
fn a_build_that_denies_is_not_asked_about() {
    let host = Host::new(touch_then_answer());
    let text = format!(
        "include = [\"{}/manifests/default.toml\"]\npolicy = {{ exec = \"deny\" }}\n",
        house::workspace_dir().display()
    );
    let build = host.write("build.toml", &text);
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "make it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "tool_result")["status"], "denied");
}

/// A question is part of the log like what it is about, whoever answers it.
#[test]
fn a_question_and_its_answer_are_events_in_their_order_and_explained() {
    let host = Host::new(touch_then_answer());
    let text = format!(
        "include = [\"{}/manifests/default.toml\"]\npolicy = {{ exec = \"ask\" }}\n",
        house::workspace_dir().display()
    );
    let build = host.write("build.toml", &text);
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "make it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked: Vec<&str> = crate::host::types(&events)
        .into_iter()
        .filter(|kind| kind.starts_with("tool_") || kind.starts_with("approval_"))
        .collect();
    assert_eq!(asked, ["tool_call", "approval_requested", "approval_resolved", "tool_result"]);
    assert_eq!(only(&events, "approval_requested")["effect"], "exec");
    let resolved = only(&events, "approval_resolved");
    assert_eq!(resolved["decision"], "deny");
    assert!(resolved["reason"].as_str().expect("a reason").contains("no terminal"), "{resolved}");
    let conversation = crate::host::conversation_of(&events);
    let explained = host.bare(&["explain", &conversation]).output().expect("started");
    let explained = String::from_utf8(explained.stdout).expect("UTF-8");
    assert!(explained.contains("    asked: denied after "), "{explained}");
}
