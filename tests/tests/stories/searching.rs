//! What the model finds by name and by content, and the whole of an output that was too long to be told.

use crate::host::Host;
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

fn results(events: &[Value]) -> Vec<(&str, &str)> {
    let results = events.iter().filter(|event| event["type"] == "tool_result").map(|event| &event["data"]);
    results.filter_map(|data| Some((data["status"].as_str()?, data["content"].as_str()?))).collect()
}

#[test]
fn files_are_found_by_name_and_by_what_they_say() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("glob", json!({ "pattern": "*.md" }))],
        vec![Action::tool_call("grep", json!({ "pattern": "needle", "context": 1 }))],
        vec![Action::tool_call("grep", json!({ "pattern": "needle(" }))],
        vec![Action::text("{{last_tool_result}}")],
    ]));
    std::fs::create_dir(host.cwd().join("docs")).expect("made");
    host.write("docs/a.md", "one\na needle\nthree\n");
    host.write("b.txt", "nothing\n");
    let (ran, events) = host.events(&["where is the needle?"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let results = results(&events);
    assert_eq!(results[0], ("ok", "docs/a.md\n"));
    assert_eq!(results[1], ("ok", "docs/a.md-1- one\ndocs/a.md:2: a needle\ndocs/a.md-3- three\n"));
    assert_eq!(results[2].0, "error");
    assert!(results[2].1.contains("unclosed group"), "{}", results[2].1);
}

/// Where the file lies, as the note in the middle of the output says.
fn file_named_in(content: &str) -> String {
    let (_, after) = content.split_once("the whole output is in `").expect("the file is named");
    after.split_once('`').expect("the name ends").0.to_owned()
}

#[test]
fn an_output_of_three_megabytes_is_told_from_both_ends_and_read_from_its_file() {
    // 100,000 lines of 30 bytes.
    let line = "seq -f 'this is line number %09.0f' 1 100000";
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": line }))],
        vec![Action::text("so long")],
    ]));
    let (ran, events) = host.events(&["--allow", "exec", "count"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let results = results(&events);
    let (status, content) = results[0];
    assert_eq!(status, "ok");
    assert!(content.starts_with("this is line number 000000001\n"), "{}", &content[..200]);
    assert!(content.ends_with("this is line number 000100000\n"), "the tail is kept");
    assert!(content.len() < 60_000, "{} bytes are told", content.len());
    let file = file_named_in(content);
    let kept = std::fs::read_to_string(&file).expect("it outlives the run");
    assert_eq!((kept.len(), kept.lines().count()), (3_000_000, 100_000));
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    // What the note named is read and searched, by whoever comes later.
    let reading = Host::new(Script::steps(vec![
        vec![Action::tool_call("read_file", json!({ "path": file, "offset": 50_000, "limit": 1 }))],
        vec![Action::tool_call("grep", json!({ "pattern": "number 000077777", "path": file }))],
        vec![Action::text("there it is")],
    ]));
    let (ran, events) = reading.events(&["what is in the middle?"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let results = self::results(&events);
    assert!(results[0].1.contains("50000: this is line number 000050000\n"), "{}", results[0].1);
    assert!(results[1].1.ends_with(":77777: this is line number 000077777\n"), "{}", results[1].1);
}

#[test]
fn roots_of_the_build_hold_for_every_tool_that_opens_files_and_the_cut_output_is_read_all_the_same() {
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("secret.txt"), "needle\n").expect("written");
    let secret = outside.path().join("secret.txt");
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("read_file", json!({ "path": secret }))],
        vec![Action::tool_call("read_file", json!({ "path": "link/secret.txt" }))],
        vec![Action::tool_call("write_file", json!({ "path": "link/new.txt", "content": "x" }))],
        vec![Action::tool_call("grep", json!({ "pattern": "needle", "path": outside.path() }))],
        vec![Action::tool_call("grep", json!({ "pattern": "needle" }))],
        vec![Action::tool_call("shell", json!({ "command": "seq 1 50000" }))],
        vec![Action::text("done")],
    ]));
    std::os::unix::fs::symlink(outside.path(), host.cwd().join("link")).expect("linked");
    host.write("inside.txt", "needle\n");
    let roots = ["--set", "exec-local.roots=[\"{cwd}\"]", "--allow", "exec", "--allow", "write", "look"];
    let (ran, events) = host.events(&roots);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let results = results(&events);
    for (status, content) in &results[..4] {
        assert_eq!(*status, "error", "{content}");
        assert!(content.contains("outside the roots") || content.contains("out of the roots"), "{content}");
    }
    assert_eq!(results[4], ("ok", "inside.txt:1: needle\n"));
    let file = file_named_in(results[5].1);
    assert!(std::path::Path::new(&file).starts_with(host.home()), "{file}");
    assert_eq!(std::fs::read_dir(outside.path()).expect("readable").count(), 1);
}
