//! A turn with a tool, a second process that goes on, two at once, and a host that is killed.

use crate::host::{Host, Ran, conversation_of, dialogue, only, types};
use dispatch_testkit::fake_llm::{Action, Rule, Script, When};
use serde_json::{Value, json};
use std::process::Stdio;

/// First a call of `read_file`, then an answer that holds what came back.
fn read_then_answer() -> Script {
    Script::steps(vec![
        vec![Action::text("Let me look. "), Action::tool_call("read_file", json!({ "path": "secret.txt" }))],
        vec![Action::text("The file says "), Action::text("{{last_tool_result}}")],
    ])
}

#[test]
fn a_turn_reads_a_real_file_and_answers_with_what_it_says() {
    let host = Host::new(read_then_answer());
    let nonce = format!("{:x}", rand_like(host.cwd()));
    host.write("secret.txt", &format!("{nonce}\n"));
    let (ran, events) = host.events(&["what does secret.txt say?"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let expected = [
        "turn_started",
        "input",
        "text_delta",
        "tool_call",
        "tool_result",
        "usage",
        "step_completed",
        "text_delta",
        "usage",
        "step_completed",
        "turn_ended",
    ];
    let shown: Vec<&str> = types(&events).into_iter().filter(|kind| expected.contains(kind)).collect();
    let without_usage = |list: &[&str]| -> Vec<String> {
        list.iter().filter(|kind| **kind != "usage").map(|kind| (*kind).to_owned()).collect()
    };
    assert_eq!(without_usage(&shown), without_usage(&expected));
    assert!(only(&events, "tool_result")["content"].as_str().expect("text").contains(&nonce));
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "text_delta")
        .filter_map(|event| event["data"]["text"].as_str())
        .collect();
    assert!(text.contains(&format!("1: {nonce}")), "{text}");
    assert_eq!(only(&events, "turn_ended")["status"], "completed");
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
}

/// Something that no earlier run has written: the name of a fresh directory, hashed.
fn rand_like(fresh: &std::path::Path) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    fresh.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_second_process_continues_the_conversation_and_sends_all_of_it() {
    let host = Host::new(Script::steps(vec![
        vec![Action::text("I will remember 4711.")],
        vec![Action::text("You said so {{n_messages}} messages ago.")],
    ]));
    let (_, events) = host.events(&["remember the number 4711"]);
    let conversation = conversation_of(&events);
    let ran = host.run(&["--conversation", &conversation, "which number?"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let requests = host.llm.requests();
    let (first, second) = (requests[0].messages(), requests[1].messages());
    let expected =
        ["user: remember the number 4711", "assistant: I will remember 4711.", "user: which number?"];
    assert_eq!(dialogue(second), expected);
    // What was sent before is sent again byte for byte: prefix caches live from it.
    assert_eq!(second[..first.len()], first[..]);
}

#[test]
fn of_two_runs_at_once_one_has_the_turn_and_the_other_is_told_so() {
    let host = Host::new(Script::rules(vec![
        Rule::once(vec![Action::text("ready")]),
        Rule::always(vec![Action::text_deltas(400, 5)]),
    ]));
    let (_, events) = host.events(&["begin"]);
    let conversation = conversation_of(&events);
    let mut first = host.start(&["--conversation", &conversation, "one"]);
    first.until("text_delta");
    let second = host.run(&["--conversation", &conversation, "two"]);
    assert_eq!(second.code, Some(75), "{}", second.stderr);
    assert!(second.stderr.contains("turn_in_flight"), "{}", second.stderr);
    first.signal("INT");
    let (code, rest) = first.end();
    assert_eq!(code, Some(130));
    assert_eq!(only(&rest, "turn_ended")["status"], "cancelled");
    assert_eq!(host.llm.requests().len(), 2, "the refused turn never reached the model");
}

#[test]
fn a_stop_in_mid_stream_keeps_what_was_said_and_the_next_request_is_valid() {
    let host = Host::new(Script::rules(vec![
        Rule::once(vec![Action::text("half a thought"), Action::Stall]),
        Rule::always(vec![Action::text("going on")]),
    ]));
    let mut run = host.start(&["think"]);
    let event = run.until("text_delta");
    run.signal("INT");
    let (code, rest) = run.end();
    assert_eq!(code, Some(130));
    assert_eq!(only(&rest, "turn_ended")["status"], "cancelled");
    host.llm.block_on(host.llm.await_no_connections(std::time::Duration::from_secs(5)));
    let conversation = event["conversation_id"].as_str().expect("in every envelope");
    let ran = host.run(&["--conversation", conversation, "go on"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let requests = host.llm.requests();
    let sent = requests[1].messages();
    assert_eq!(dialogue(sent), ["user: think", "assistant: half a thought", "user: go on"]);
}

#[test]
fn a_stop_during_a_tool_leaves_a_cancelled_result_directly_after_its_call() {
    let host = Host::new(Script::rules(vec![
        Rule::once(vec![Action::tool_call("shell", json!({ "command": "echo started; sleep 600" }))]),
        Rule::always(vec![Action::text("fine")]),
    ]));
    let mut run = host.start(&["--allow", "exec", "wait"]);
    run.until("tool_output");
    run.signal("INT");
    let (code, rest) = run.end();
    assert_eq!(code, Some(130));
    assert_eq!(only(&rest, "tool_result")["status"], "cancelled");
    let conversation = conversation_of(&rest);
    assert_eq!(host.run(&["--conversation", &conversation, "and now?"]).code, Some(0));
    let roles: Vec<Value> = host.llm.requests()[1].messages().iter().map(|m| m["role"].clone()).collect();
    let roles: Vec<&str> = roles.iter().filter_map(Value::as_str).filter(|role| *role != "system").collect();
    assert_eq!(roles, ["user", "assistant", "tool", "user"]);
}

#[test]
fn the_turn_of_a_killed_host_is_sealed_and_the_model_is_told() {
    let host = Host::new(Script::rules(vec![
        Rule::once(vec![Action::tool_call("shell", json!({ "command": "echo started; sleep 600" }))]),
        Rule::always(vec![Action::text("I see")]),
    ]));
    let mut run = host.start(&["--allow", "exec", "wait"]);
    let started = run.until("tool_output");
    run.signal("KILL");
    let (code, _) = run.end();
    assert_eq!(code, None, "killed");
    let conversation = started["conversation_id"].as_str().expect("in every envelope");
    let (ran, events) = host.events(&["--conversation", conversation, "what happened?"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "turn_ended")["status"], "completed");
    let requests = host.llm.requests();
    let sent = requests[1].messages();
    let tool = sent.iter().find(|message| message["role"] == "tool").expect("a result for the call");
    assert!(tool["content"].as_str().expect("text").contains("interrupted"), "{tool}");
    let lowest = events[0]["seq"].as_u64().expect("a number");
    assert!(lowest > started["seq"].as_u64().expect("a number"), "numbers never go back");
}

#[test]
fn standard_input_is_the_prompt_when_it_is_no_terminal() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("You said: {{last_user}}")])]));
    let file = host.write("prompt.txt", "from a pipe");
    let mut command = host.command(&["-"]);
    command.stdin(std::fs::File::open(file).expect("just written"));
    let ran = Ran::of(command.output().expect("started"));
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "You said: from a pipe"), "{}", ran.stderr);
}

#[test]
fn words_go_without_a_standard_input_that_nobody_writes_to_and_nobody_closes() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("You said: {{last_user}}")])]));
    let mut command = host.command(&["words alone"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let silent = child.stdin.take();
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    drop(silent);
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "You said: words alone"), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing came on standard input within 3 s"), "{}", ran.stderr);
}

#[test]
fn two_instances_of_one_provider_library_serve_side_by_side() {
    let other = Host::new(Script::rules(vec![Rule::always(vec![Action::text("I am the other")])]));
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("I am the first")])]));
    let build = format!(
        "include = [\"{}/manifests/default.toml\"]\n[[extension]]\nid = \"second\"\nfrom = \"provider-openai-compat\"\n\
         config = {{ base_url = \"{}\", model = \"scripted\" }}\n",
        house::workspace_dir().display(),
        other.llm.base_url()
    );
    let build = host.write("build.toml", &build);
    let build = build.to_str().expect("UTF-8");
    let first = host.run(&["--build", build, "--provider", "openai-compat", "who?"]);
    let second = host.run(&["--build", build, "--provider", "second", "who?"]);
    assert_eq!((first.stdout.trim(), second.stdout.trim()), ("I am the first", "I am the other"));
    let neither = host.run(&["--build", build, "who?"]);
    assert_ne!(neither.code, Some(0), "with two ready providers one must be named: {}", neither.stdout);
    assert!(
        neither.stderr.contains("openai-compat") && neither.stderr.contains("second"),
        "{}",
        neither.stderr
    );
}

#[test]
fn the_rules_of_a_model_are_matched_by_what_the_host_really_sent() {
    // The judge judges itself: a rule for another tool result must not match.
    let host = Host::new(Script::rules(vec![
        Rule::always(vec![Action::text("done")])
            .when(When { n_tool_results_in_turn: Some(1), ..When::default() }),
        Rule::always(vec![Action::tool_call("read_file", json!({ "path": "." }))]),
    ]));
    host.write("a.txt", "");
    let (ran, events) = host.events(&["list"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(only(&events, "tool_result")["content"].as_str().expect("text").contains("a.txt"));
}
