//! A filter that takes a key out of a tool's result, and the command that tells so afterwards.

use crate::host::{Host, Ran, conversation_of, only};
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The shape of a key, and nobody's.
fn fake_key() -> String {
    format!("sk-{}", "fA4k3E".repeat(8))
}

fn read_then_answer() -> Script {
    Script::steps(vec![
        vec![Action::tool_call("read_file", json!({ "path": "settings.env" }))],
        vec![Action::text("The file says {{last_tool_result}}")],
    ])
}

/// The default build and the filter.
fn build_with_filter(host: &Host) -> PathBuf {
    let default = house::workspace_dir().join("manifests").join("default.toml");
    let text = format!("include = [\"{}\"]\n\n[[extension]]\nid = \"filter-redact\"\n", default.display());
    host.write("build.toml", &text)
}

fn explain(host: &Host, words: &[&str]) -> Ran {
    let mut all = vec!["explain"];
    all.extend(words);
    Ran::of(host.bare(&all).output().expect("started"))
}

#[test]
fn a_redacted_key_reaches_neither_the_model_nor_the_log_and_explain_tells_who_took_it_out() {
    let host = Host::new(read_then_answer());
    let key = fake_key();
    host.write("settings.env", &format!("USER=me\nKEY={key}\n"));
    let build = build_with_filter(&host);
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "read settings.env"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let content = "1: USER=me\n2: KEY=[redacted:openai]\n";
    assert_eq!(only(&events, "tool_result")["content"], content);
    let requests = host.llm.requests();
    let told = requests[1].messages();
    assert_eq!(told.last().expect("the result")["content"], content);
    assert!(!json!(told).to_string().contains(&key));
    let mut changed = only(&events, "filter_changed").clone();
    assert!(changed["duration_ms"].is_u64(), "{changed}");
    changed.as_object_mut().expect("an object").remove("duration_ms");
    let call = only(&events, "tool_call")["tool_call_id"].clone();
    let replaced = json!([{ "op": "replace", "at": "content", "value": content }]);
    let expected =
        json!({ "point": "tool.result", "filter": "redact", "tool_call_id": call, "ops": replaced });
    assert_eq!(changed, expected);
    let kept = kept_files(&host);
    assert!(kept.iter().any(|bytes| holds(bytes, b"[redacted:openai]")), "the log is in the host's home");
    assert!(!kept.iter().any(|bytes| holds(bytes, key.as_bytes())), "the key was kept");

    // The log is enough: the filter is not in this build.
    let conversation = conversation_of(&events);
    let ran = explain(&host, &[&conversation, "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!((&told["turn_id"], &told["ended"]["status"]), (&events[0]["turn_id"], &json!("completed")));
    let steps = told["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 2);
    let tool = &steps[0]["tools"][0];
    assert_eq!(
        (&tool["name"], &tool["effect"], &tool["status"]),
        (&json!("read_file"), &json!("read"), &json!("ok"))
    );
    let change = &steps[0]["changes"][0];
    assert_eq!((&change["filter"], &change["tool_call_id"]), (&json!("redact"), &call));
    assert_eq!(change["ops"], json!([{ "op": "replace", "at": "content", "after": content }]));

    let turn = events[0]["turn_id"].as_str().expect("in every envelope");
    let ran = explain(&host, &[&conversation, turn]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.starts_with(&format!("turn {turn} of conversation {conversation}: completed")),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("replace content: 1: USER=me 2: KEY=[redacted:openai]"), "{}", ran.stdout);
}

#[test]
fn explain_tells_who_denied_a_tool_and_refuses_what_never_was() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": "ls" }))],
        vec![Action::text("no")],
    ]));
    let (ran, events) = host.events(&["list it"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let conversation = conversation_of(&events);
    let ran = explain(&host, &[&conversation]);
    assert!(
        ran.stdout.contains("tool shell (exec)") && ran.stdout.contains(": denied when asked"),
        "{}",
        ran.stdout
    );
    let ran = explain(&host, &[&conversation, "never"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("no turn `never`"), "{}", ran.stderr);
    assert_eq!(explain(&host, &["nobody"]).code, Some(1));
}

/// The bytes of every file below the host's home but the libraries.
fn kept_files(host: &Host) -> Vec<Vec<u8>> {
    let (mut dirs, mut files) = (vec![host.home().to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("it can be listed") {
            let entry = entry.expect("it can be read");
            let kind = entry.file_type().expect("it has a type");
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() && entry.path().extension().is_none_or(|extension| extension != "so") {
                files.push(std::fs::read(entry.path()).expect("it can be read"));
            }
        }
    }
    files
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
