//! One story over every store, provider and build; the host's bytes stay as they are.
//!
//! The story: a prompt makes the model read a file, change it, run a command over it and answer; a second turn knows
//! what was said in the first. It must not know which parts it runs over.

use crate::host::{Host, Ran, conversation_of};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Script};
use house::{dispatch_binary, workspace_dir};
use serde_json::{Value, json};
use std::path::PathBuf;

const FIRST: &str = "read `notes.txt` then change `draft` to `final` in `notes.txt` then run `cat notes.txt`";
const SECOND: &str = "what did I ask before?";

/// The model's part of the story; `provider-demo` does the same by itself.
fn script() -> Script {
    let edit = json!({ "path": "notes.txt", "old_string": "draft", "new_string": "final" });
    Script::steps(vec![
        vec![Action::tool_call("read_file", json!({ "path": "notes.txt" }))],
        vec![Action::tool_call("edit_file", edit)],
        vec![Action::tool_call("shell", json!({ "command": "cat notes.txt" }))],
        vec![Action::text("It says now: "), Action::text("{{last_tool_result}}")],
        vec![Action::text("You asked: "), Action::text("{{first_user}}")],
    ])
}

/// How the two turns are run.
#[derive(Debug, Clone, Copy)]
enum Way {
    TwoRuns,
    OneServe,
}

/// What the story runs over.
#[derive(Debug)]
struct Over {
    build: &'static str,
    memory: bool,
    provider: &'static str,
    way: Way,
}

/// The events of the two turns.
fn turns(host: &Host, over: &Over) -> [Vec<Value>; 2] {
    let build = build_of(host, over);
    let build = build.to_str().expect("UTF-8");
    match over.way {
        Way::TwoRuns => {
            let words = ["--build", build, "--allow", "write,exec", "--provider", over.provider];
            let run = |more: &[&str]| {
                let mut all = words.to_vec();
                all.extend_from_slice(more);
                let (ran, events): (Ran, Vec<Value>) = host.events(&all);
                assert_eq!(ran.code, Some(0), "{over:?}: {}", ran.stderr);
                events
            };
            let first = run(&[FIRST]);
            let conversation = conversation_of(&first);
            let second = run(&["--conversation", &conversation, SECOND]);
            [first, second]
        }
        Way::OneServe => {
            let served = Served::start(host, &["--build", build, "--allow", "write,exec"]);
            let conversation = served.conversation();
            let params = json!({ "input": FIRST, "provider": over.provider, "cwd": host.cwd() });
            let first = served.turn(&conversation, &params);
            let second = served.turn(&conversation, &json!({ "input": SECOND }));
            served.signal("TERM");
            assert_eq!(served.wait(), Some(0), "{over:?}");
            [first, second]
        }
    }
}

/// The build by its name, or with its store swapped by two lines.
fn build_of(host: &Host, over: &Over) -> PathBuf {
    let list = workspace_dir().join(format!("manifests/{}.toml", over.build));
    if !over.memory {
        return list;
    }
    let text = format!(
        "include = [\"{}\"]\nexclude = [\"storage-sqlite\"]\n\n[[extension]]\nid = \"storage-memory\"\nrequired = true\n",
        list.display()
    );
    host.write("build.toml", &text)
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

fn text_of(events: &[Value]) -> String {
    of_type(events, "text_delta").iter().filter_map(|data| data["text"].as_str()).collect()
}

/// What a client must see, whatever lies below.
fn assert_told(host: &Host, over: &Over, [first, second]: &[Vec<Value>; 2]) {
    let calls: Vec<&str> =
        of_type(first, "tool_call").iter().filter_map(|data| data["name"].as_str()).collect();
    assert_eq!(calls, ["read_file", "edit_file", "shell"], "{over:?}");
    let results: Vec<(&str, &str)> = of_type(first, "tool_result")
        .iter()
        .filter_map(|data| Some((data["status"].as_str()?, data["content"].as_str()?)))
        .collect();
    assert!(results.iter().all(|(status, _)| *status == "ok"), "{over:?}: {results:?}");
    assert!(results[0].1.contains("a draft"), "{over:?}: {results:?}");
    assert!(results[2].1.contains("a final"), "{over:?}: {results:?}");
    assert!(text_of(first).contains("a final"), "{over:?}: {}", text_of(first));
    assert_eq!(
        std::fs::read_to_string(host.cwd().join("notes.txt")).expect("there"),
        "a final\n",
        "{over:?}"
    );
    assert!(text_of(second).contains("change `draft` to `final`"), "{over:?}: {}", text_of(second));
    for events in [first, second] {
        let ends = of_type(events, "turn_ended");
        assert_eq!((ends.len(), &ends[0]["status"]), (1, &json!("completed")), "{over:?}");
        let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{over:?}: {seqs:?}");
    }
}

#[test]
fn one_story_runs_over_every_store_provider_and_build_and_the_host_stays_byte_for_byte() {
    let before = std::fs::read(dispatch_binary()).expect("built");
    let over = |build, memory, provider, way| Over { build, memory, provider, way };
    let matrix = [
        over("default", false, "openai-compat", Way::TwoRuns),
        over("default", true, "openai-compat", Way::OneServe),
        over("default", false, "demo", Way::TwoRuns),
        over("default", true, "demo", Way::OneServe),
        over("default", false, "openai-compat", Way::OneServe),
        over("minimal", false, "openai-compat", Way::TwoRuns),
        over("minimal", false, "demo", Way::TwoRuns),
        over("server", false, "openai-compat", Way::OneServe),
        over("server", true, "openai-compat", Way::OneServe),
    ];
    for over in matrix {
        let host = Host::new(script());
        host.write("notes.txt", "a draft\n");
        let told = turns(&host, &over);
        assert_told(&host, &over, &told);
        let on_disk = host.home().join("data/dispatch.db").exists();
        assert_eq!(on_disk, !over.memory, "{over:?}");
    }
    let after = std::fs::read(dispatch_binary()).expect("still there");
    assert!(before == after, "the host is the same, byte for byte");
}

#[test]
fn a_store_in_memory_forgets_between_two_runs_and_says_so() {
    let host = Host::new(script());
    host.write("notes.txt", "a draft\n");
    let over = Over { build: "default", memory: true, provider: "demo", way: Way::TwoRuns };
    let build = build_of(&host, &over);
    let build = build.to_str().expect("UTF-8");
    let (ran, events) = host.events(&["--build", build, "--provider", "demo", "hello"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let conversation = conversation_of(&events);
    let ran = host.run(&["--build", build, "--conversation", &conversation, "and now?"]);
    assert!(ran.code != Some(0) && ran.stderr.contains(&conversation), "{:?} {}", ran.code, ran.stderr);
}

#[test]
fn two_instances_of_one_provider_library_serve_two_conversations_in_one_build() {
    let host = Host::new(Script::steps(vec![vec![Action::text("from the first")]]));
    let other = Host::new(Script::steps(vec![vec![Action::text("from the other")]]));
    let text = format!(
        "include = [\"{}/manifests/default.toml\"]\n\n[[extension]]\nid = \"other\"\nfrom = \"provider-openai-compat\"\n\
         config = {{ base_url = \"{}\", model = \"scripted\" }}\n",
        workspace_dir().display(),
        other.llm.base_url()
    );
    let build = host.write("build.toml", &text);
    let served = Served::start(&host, &["--build", build.to_str().expect("UTF-8")]);
    let conversations = [served.conversation(), served.conversation()];
    let ask = |conversation: &str, provider: &str| {
        text_of(&served.turn(conversation, &json!({ "input": "who are you?", "provider": provider })))
    };
    assert_eq!(ask(&conversations[0], "openai-compat"), "from the first");
    assert_eq!(ask(&conversations[1], "other"), "from the other");
    assert_eq!((host.llm.requests().len(), other.llm.requests().len()), (1, 1));
}
