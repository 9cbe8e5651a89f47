//! Turns that another engine than the kernel's own loop runs, here one of a library without a model.

use crate::host::{Host, Ran, conversation_of, only, types};
use dispatch_testkit::fake_llm::Script;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// A build with the toy engine and without any provider.
struct Toys {
    host: Host,
    build: String,
}

impl Toys {
    fn new() -> Self {
        let host = Host::new(Script::default());
        let ids = ["storage-sqlite", "conversation-store", "orchestrator", "cli", "toy-engine"];
        let list: String = ids.iter().map(|id| format!("[[extension]]\nid = \"{id}\"\n")).collect();
        let build = host.write("toys.toml", &list).to_str().expect("UTF-8").to_owned();
        Self { host, build }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut all = vec!["run", "--build", self.build.as_str()];
        all.extend(words);
        Ran::of(self.host.bare(&all).output().expect("started"))
    }

    fn events(&self, words: &[&str]) -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend(words);
        let ran = self.run(&all);
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("one event a line")).collect()
    }
}

#[test]
fn a_turn_runs_on_an_engine_from_the_command_line_and_the_engine_remembers() {
    let toys = Toys::new();
    let ran = toys.run(&["--engine", "toy", "hello"]);
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "toy turn 1: hello"), "{}", ran.stderr);

    let events = toys.events(&["--engine", "toy", "hello"]);
    let shown = ["turn_started", "input", "text_delta", "usage", "step_completed", "turn_ended"];
    assert_eq!(types(&events), shown, "as of the loop");
    assert_eq!(only(&events, "turn_started")["engine"], "toy");
    let conversation = conversation_of(&events);
    let said = toys.run(&["--conversation", &conversation, "again"]);
    assert_eq!(said.stdout.trim(), "toy turn 2: again", "{}", said.stderr);
    let said = toys.run(&["--conversation", &conversation, "remember"]);
    assert_eq!(said.stdout.trim(), "5 messages", "{}", said.stderr);
    // Nobody is there to ask, and the policy is the host's.
    let said = toys.run(&["--conversation", &conversation, "ask"]);
    assert!(said.stdout.starts_with("denied: "), "{said:?}");
    assert_eq!(toys.host.llm.requests().len(), 0, "no model was asked");
}

#[test]
fn an_engine_that_is_not_there_is_refused_by_name_and_one_that_dies_ends_its_turn() {
    let toys = Toys::new();
    let ran = toys.run(&["--engine", "tyo", "hello"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(
        ran.stderr.contains("engine `tyo` is not in this build; name another: `native`, `toy`"),
        "{ran:?}"
    );
    let ran = toys.run(&["hello"]);
    assert!(ran.code == Some(78) && ran.stderr.contains("no provider"), "the loop is the default: {ran:?}");
    let events = toys.events(&["--engine", "toy", "die"]);
    let ended = only(&events, "turn_ended");
    assert_eq!((&ended["status"], &ended["reason"]), (&"failed".into(), &"unavailable".into()));
    assert_eq!(only(&events, "error")["message"], "the toy died, as asked");
}

#[test]
fn a_turn_of_an_engine_survives_the_death_of_its_host_as_one_of_the_loop_does() {
    let toys = Toys::new();
    let words = ["run", "--build", toys.build.as_str(), "--engine", "toy", "--json", "hang"];
    let mut child = toys.host.bare(&words).stdout(Stdio::piped()).spawn().expect("started");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let events = lines.map(|line| serde_json::from_str(&line.expect("readable")).expect("one event a line"));
    let called: Option<Value> = events.into_iter().find(|event: &Value| event["type"] == "tool_call");
    child.kill().expect("killed");
    child.wait().expect("waited");
    let called = called.expect("the call is shown once it is durable");
    let conversation = called["conversation_id"].as_str().expect("in every envelope");

    // What it left with the commit that was durable is there, and the conversation goes on.
    let said = toys.run(&["--conversation", conversation, "again"]);
    assert_eq!((said.code, said.stdout.trim()), (Some(0), "toy turn 2: again"), "{}", said.stderr);
}
