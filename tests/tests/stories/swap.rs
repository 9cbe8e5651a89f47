//! One line of a build changes the store; the host's bytes stay as they are.

use crate::host::{Host, dialogue, only};
use dispatch_testkit::fake_llm::{Action, Script};
use house::{dispatch_binary, workspace_dir};
use serde_json::Value;
use std::path::PathBuf;

fn answering() -> Script {
    Script::steps(vec![vec![Action::text("kept in "), Action::text("mind")]])
}

/// A build with another store, which takes two lines and no rebuild.
fn build_in_memory(host: &Host) -> PathBuf {
    let text = format!(
        "include = [\"{}/manifests/default.toml\"]\nexclude = [\"storage-sqlite\"]\n\n[[extension]]\nid = \"storage-memory\"\nrequired = true\n",
        workspace_dir().display()
    );
    host.write("build.toml", &text)
}

fn assert_answered(host: &Host, words: &[&str]) -> Vec<Value> {
    let (ran, events) = host.events(words);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "turn_ended")["status"], "completed", "{}", ran.stderr);
    let requests = host.llm.requests();
    assert_eq!(dialogue(requests.last().expect("asked").messages()), ["user: where is it?"]);
    events
}

fn files_of(host: &Host) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(host.home().join("data")) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("readable").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}

#[test]
fn a_store_is_swapped_by_the_build_list_and_the_host_stays_byte_for_byte() {
    let before = std::fs::read(dispatch_binary()).expect("built");

    let on_disk = Host::new(answering());
    let events_on_disk = assert_answered(&on_disk, &["where is it?"]);
    assert!(files_of(&on_disk).contains(&"dispatch.db".to_owned()), "{:?}", files_of(&on_disk));

    let in_memory = Host::new(answering());
    let build = build_in_memory(&in_memory);
    let events = assert_answered(&in_memory, &["--build", build.to_str().expect("UTF-8"), "where is it?"]);
    assert_eq!(files_of(&in_memory), Vec::<String>::new(), "nothing is written below `data`");

    let types = |events: &[Value]| events.iter().map(|event| event["type"].clone()).collect::<Vec<_>>();
    assert_eq!(types(&events), types(&events_on_disk), "a client sees no difference");
    let after = std::fs::read(dispatch_binary()).expect("still there");
    assert!(before == after, "the host is the same, byte for byte");
}

#[test]
fn a_store_in_memory_forgets_between_two_runs_and_says_so() {
    let host = Host::new(answering());
    let build = build_in_memory(&host);
    let build = build.to_str().expect("UTF-8");
    let events = assert_answered(&host, &["--build", build, "where is it?"]);
    let conversation = crate::host::conversation_of(&events);
    let ran = host.run(&["--build", build, "--conversation", &conversation, "and now?"]);
    assert!(ran.code != Some(0) && ran.stderr.contains(&conversation), "{:?} {}", ran.code, ran.stderr);
}
