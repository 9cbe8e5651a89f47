//! Providers that fail, and a host without any.

use crate::host::{Host, only};
use dispatch_testkit::fake_llm::{Action, HttpError, RetryAfter, Rule, Script};

#[test]
fn too_many_requests_end_the_turn_failed_with_class_and_wait() {
    let error = HttpError { status: 429, retry_after: Some(RetryAfter::Seconds(7)), ..HttpError::default() };
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::HttpError(error)])]));
    let list = format!(
        "include = [\"{}/manifests/default.toml\"]\nexclude = [\"retry-backoff\"]\n",
        house::workspace_dir().display()
    );
    let build = host.write("build.toml", &list);
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "hi"]);
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    let error = only(&events, "error");
    assert_eq!((&error["class"], &error["retry_after_ms"]), (&"rate_limited".into(), &7000.into()));
    assert_eq!(error["http_status"], 429);
    let ended = only(&events, "turn_ended");
    assert_eq!((&ended["status"], &ended["reason"]), (&"failed".into(), &"rate_limited".into()));
    assert!(ran.stderr.contains("rate_limited"), "{}", ran.stderr);
    assert_eq!(host.llm.requests().len(), 1, "without a retry policy in the build nothing is tried again");
}

#[test]
fn a_stream_cut_in_the_middle_is_no_stop() {
    let cut = vec![Action::text_deltas(50, 0), Action::CutAfterBytes(1500)];
    let host = Host::new(Script::rules(vec![Rule::once(cut), Rule::always(vec![Action::text("again")])]));
    let (ran, events) = host.events(&["hi"]);
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    assert_eq!(only(&events, "error")["class"], "truncated");
    assert_eq!(only(&events, "turn_ended")["status"], "failed");
    // What was said stays, and the conversation goes on.
    let conversation = crate::host::conversation_of(&events);
    assert_eq!(host.run(&["--conversation", &conversation, "go on"]).code, Some(0));
}

#[test]
fn a_refused_key_has_its_own_exit_code_and_the_key_is_shown_nowhere() {
    let script = Script { api_key: Some("right".to_owned()), ..Script::default() };
    let host = Host::new(script);
    let mut command = host.command(&["--json", "hi"]);
    command.env("OPENAI_API_KEY", "sk-wrong-canary-1234567890").env("DISPATCH_LOG", "trace");
    let ran = crate::host::Ran::of(command.output().expect("started"));
    assert_eq!(ran.code, Some(77), "{}", ran.stderr);
    assert!(!ran.stderr.contains("canary") && !ran.stdout.contains("canary"), "{}", ran.stderr);
    for entry in walk(host.home()) {
        let bytes = std::fs::read(&entry).expect("readable");
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", entry.display());
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("readable").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else if path.is_file() {
            files.push(path)
        }
    }
    files
}

#[test]
fn without_a_provider_both_ways_on_are_named() {
    let host = Host::new(Script::default());
    let ran = crate::host::Ran::of(host.bare(&["run", "hi"]).output().expect("started"));
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(ran.stderr.contains("OPENAI_API_KEY") && ran.stderr.contains("demo"), "{}", ran.stderr);
}

#[test]
fn the_demo_provider_is_used_only_when_it_is_named_and_quotes_the_real_file() {
    let host = Host::new(Script::default());
    host.write("notes.txt", "the canary sings at 5\n");
    let ran = crate::host::Ran::of(
        host.bare(&["run", "--provider", "demo", "read notes.txt"]).output().expect("started"),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("the canary sings at 5") && ran.stdout.contains("not a"), "{}", ran.stdout);
    assert_eq!(host.llm.requests().len(), 0);
}

#[test]
fn an_unknown_conversation_a_wrong_option_and_a_wrong_key_are_refused_by_name() {
    let host = Host::new(Script::default());
    let ran = host.run(&["--conversation", "no-such-one", "hi"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("no-such-one"), "{}", ran.stderr);
    let ran = host.run(&["--frob", "hi"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--frob"), "{}", ran.stderr);
    let ran = host.run(&["--set", "provider-openai-compat.base_ulr=x", "hi"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("base_ulr"), "{}", ran.stderr);
    let ran = host.run(&["--set", "nobody.key=x", "hi"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn a_store_that_is_no_database_is_left_as_it_is_and_the_host_says_so() {
    let host = Host::new(Script::default());
    assert_eq!(host.run(&["--model", "fake-text-1", "hi"]).code, Some(0));
    let store = host.home().join("data/dispatch.db");
    for entry in std::fs::read_dir(host.home().join("data")).expect("there").filter_map(Result::ok) {
        std::fs::remove_file(entry.path()).ok();
    }
    std::fs::write(
        &store,
        "this is a text file, longer than a header of SQLite is, and no database at all\n".repeat(50),
    )
    .expect("written");
    let before = std::fs::read(&store).expect("there");
    let ran = host.run(&["--model", "fake-text-1", "hi"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(ran.stderr.contains("dispatch.db"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&store).expect("still there"), before);
}
