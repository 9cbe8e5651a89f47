//! Files written, changed and read by tools, through the built binary.

use crate::host::Host;
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::{Value, json};

fn results(events: &[Value]) -> Vec<(&str, &str)> {
    let results = events.iter().filter(|event| event["type"] == "tool_result").map(|event| &event["data"]);
    results.filter_map(|data| Some((data["status"].as_str()?, data["content"].as_str()?))).collect()
}

#[test]
fn a_file_is_written_changed_and_read_and_a_change_that_fits_nowhere_is_told() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("write_file", json!({ "path": "notes/a.txt", "content": "one\ntwo\n" }))],
        vec![Action::tool_call(
            "edit_file",
            json!({ "path": "notes/a.txt", "old_string": "two", "new_string": "2" }),
        )],
        vec![Action::tool_call(
            "edit_file",
            json!({ "path": "notes/a.txt", "old_string": "three", "new_string": "3" }),
        )],
        vec![Action::tool_call("read_file", json!({ "path": "notes/a.txt" }))],
        vec![Action::text("{{last_tool_result}}")],
    ]));
    let (ran, events) = host.events(&["--allow", "write", "make notes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let results = results(&events);
    let statuses: Vec<&str> = results.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, ["ok", "ok", "error", "ok"], "{results:?}");
    assert_eq!(std::fs::read_to_string(host.cwd().join("notes/a.txt")).expect("written"), "one\n2\n");
    assert!(results[1].1.contains("-two") && results[1].1.contains("+2"), "{}", results[1].1);
    assert!(results[3].1.contains("2: 2"), "{}", results[3].1);
}

#[test]
fn without_leave_nothing_is_written() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("write_file", json!({ "path": "a.txt", "content": "x" }))],
        vec![Action::text("ok")],
    ]));
    let (ran, events) = host.events(&["write"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(results(&events)[0].0, "denied");
    assert!(!host.cwd().join("a.txt").exists());
}
