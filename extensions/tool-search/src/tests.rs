//! What `glob` and `grep` ask of `exec.v1`, and what the model is told of the answer.

use crate::SearchTools;
use crate::args::{GrepArgs, parse};
use crate::bounds::{GLOB_PATHS_MAX, GREP_MATCHES_MAX, LINE_CHARS_MAX, OUTPUT_BYTES_MAX, RESULTS_BYTES_MAX};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    FileKind, FoundFile, FoundLine, LinePattern, PatternKind, SEARCH_MS, SearchParams, SearchReply,
    SearchStop,
};
use dispatch_sdk::contracts::tool::{Effect, Locality, Run, RunParams, RunReply};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const CWD: &str = "/work";

/// The tools on a host whose `exec.v1/search` gives one answer, and what it was asked.
struct Tools {
    tools: Opened,
    asked: Arc<Mutex<Vec<SearchParams>>>,
}

impl Tools {
    async fn new(answer: Result<SearchReply, Fault>) -> Self {
        let (host, asked) = (FakeHost::new(), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&asked);
        host.on("exec.v1/search", move |params| {
            heard
                .lock()
                .expect("nobody panics")
                .push(serde_json::from_value(params).expect("its parameters"));
            answer.clone().map(|reply| serde_json::to_value(reply).expect("json"))
        });
        host.set_requires("tool-search", &["exec.v1"]);
        let tools = host.open::<SearchTools>("tool-search", json!({})).await.expect("it opens");
        Self { tools, asked }
    }

    async fn run(&self, tool: &str, args: Value) -> Result<RunReply, Fault> {
        let Value::Object(args) = args else { panic!("arguments are an object") };
        let params = RunParams { tool_call_id: "call-1".to_owned(), args, cwd: CWD.to_owned() };
        self.tools.call_named(Run, tool, &params).await
    }
}

/// What is said of an answer.
async fn said(reply: SearchReply, tool: &str, args: Value) -> String {
    let said = Tools::new(Ok(reply)).await.run(tool, args).await.expect("the tool answers");
    assert!(!said.is_error);
    said.content
}

fn nothing() -> SearchReply {
    SearchReply {
        kind: FileKind::Directory,
        files: Vec::new(),
        n_hits: 0,
        more: false,
        stopped: None,
        n_unread: 0,
        n_binary: 0,
        n_too_large: 0,
        ignores_cut: false,
    }
}

fn file(path: &str, lines: Vec<FoundLine>) -> FoundFile {
    FoundFile { path: path.to_owned(), lines }
}

fn line(number: u64, text: &str, matches: bool) -> FoundLine {
    FoundLine { number, text: text.to_owned(), cut_of_bytes: 0, matches }
}

#[tokio::test]
async fn arguments_without_sense_are_refused() {
    let tools = Tools::new(Ok(nothing())).await;
    let long = "x".repeat(2_001);
    for (tool, args) in [
        ("glob", json!({})),
        ("glob", json!({ "pattern": "" })),
        ("glob", json!({ "pattern": long })),
        ("glob", json!({ "pattern": "*", "path": "" })),
        ("grep", json!({ "pattern": 1 })),
        ("grep", json!({ "pattern": "x", "context": -1 })),
        ("grep", json!({ "pattern": "x", "context": 1.5 })),
        ("grep", json!({ "pattern": "x", "context": 21 })),
        ("grep", json!({ "pattern": "x", "glob": "" })),
    ] {
        let fault = tools.run(tool, args).await.expect_err("it is refused");
        assert_eq!(fault.code, "invalid", "{fault}");
    }
    assert!(tools.asked.lock().expect("nobody panics").is_empty(), "nothing was searched");
    let Value::Object(args) = json!({ "pattern": "x", "context": 2.0 }) else { unreachable!() };
    assert_eq!(parse::<GrepArgs>(args).expect("they are right").context, 2);
}

#[tokio::test]
async fn what_is_asked_is_what_the_model_said_within_bounds() {
    let tools = Tools::new(Ok(nothing())).await;
    let here = SearchParams {
        path: ".".to_owned(),
        cwd: CWD.to_owned(),
        bytes_max: RESULTS_BYTES_MAX,
        time_ms: SEARCH_MS,
        ..SearchParams::default()
    };
    let pattern = LinePattern {
        pattern: "x".to_owned(),
        kind: PatternKind::Regex,
        line_chars_max: LINE_CHARS_MAX,
        ..LinePattern::default()
    };
    let glob = SearchParams { include: vec!["*.rs".to_owned()], hits_max: GLOB_PATHS_MAX, ..here.clone() };
    let grep = SearchParams { hits_max: GREP_MATCHES_MAX, ..here };
    for (tool, args, expected) in [
        ("glob", json!({ "pattern": "*.rs" }), glob.clone()),
        (
            "glob",
            json!({ "pattern": "*.rs", "path": "src", "hidden": true, "ignored": true }),
            SearchParams { path: "src".to_owned(), hidden: true, ignored: true, ..glob },
        ),
        ("grep", json!({ "pattern": "x" }), SearchParams { lines: Some(pattern.clone()), ..grep.clone() }),
        (
            "grep",
            json!({ "pattern": "x", "glob": "*.rs", "ignore_case": true, "context": 2, "files_only": true }),
            SearchParams {
                lines: Some(LinePattern { ignore_case: true, context: 2, files_only: true, ..pattern }),
                include: vec!["*.rs".to_owned()],
                ..grep
            },
        ),
    ] {
        tools.run(tool, args).await.expect("it answers");
        assert_eq!(tools.asked.lock().expect("nobody panics").pop(), Some(expected));
    }
}

#[tokio::test]
async fn paths_and_lines_are_told_one_by_line_and_counted() {
    let found =
        SearchReply { files: vec![file("a\nb", vec![]), file("src/c", vec![])], n_hits: 2, ..nothing() };
    let tools = Tools::new(Ok(found)).await;
    let told =
        |content: &str, detail| RunReply { content: content.to_owned(), detail, ..RunReply::default() };
    let paths = "a\u{fffd}b\nsrc/c\n";
    let globbed = tools.run("glob", json!({ "pattern": "*" })).await.expect("it answers");
    assert_eq!(globbed, told(paths, json!({ "paths": 2, "more": false })));
    let grepped = tools.run("grep", json!({ "pattern": "x", "files_only": true })).await.expect("it answers");
    assert_eq!(grepped, told(paths, json!({ "matches": null, "files": 2, "more": false })));

    let cut = FoundLine { cut_of_bytes: 1503, ..line(9, "long", true) };
    let first =
        vec![line(1, "one", false), line(2, "two", true), line(3, "three", false), line(8, "x", true), cut];
    let files = vec![file("a.txt", first), file("b\tc", vec![line(10, "two", true)])];
    let tools = Tools::new(Ok(SearchReply { files, n_hits: 4, ..nothing() })).await;
    let lines = |apart| {
        format!(
            "a.txt-1- one\na.txt:2: two\na.txt-3- three\n{apart}a.txt:8: x\n\
             a.txt:9: long [line cut: 1503 bytes in all]\n{apart}b\u{fffd}c:10: two\n"
        )
    };
    for (context, apart) in [(0, ""), (1, "--\n")] {
        let asked = json!({ "pattern": "x", "context": context });
        let grepped = tools.run("grep", asked).await.expect("it answers");
        assert_eq!(grepped, told(&lines(apart), json!({ "matches": 4, "files": 2, "more": false })));
    }
}

#[tokio::test]
async fn nothing_found_says_what_was_not_looked_at() {
    for (tool, args, expected) in [
        (
            "glob",
            json!({ "pattern": "*.rs" }),
            "(no file below `.` matches; hidden (see `hidden`) and ignored (see `ignored`) files were not looked at)\n",
        ),
        (
            "grep",
            json!({ "pattern": "x", "hidden": true }),
            "(no line below `.` matches; ignored (see `ignored`) and binary files were not looked at)\n",
        ),
        (
            "glob",
            json!({ "pattern": "x", "path": "d", "hidden": true, "ignored": true }),
            "(no file below `d` matches)\n",
        ),
    ] {
        assert_eq!(said(nothing(), tool, args).await, expected);
    }
    let one = SearchReply { kind: FileKind::File, ..nothing() };
    assert_eq!(said(one, "grep", json!({ "pattern": "x", "path": "f" })).await, "(no line of `f` matches)\n");
}

#[tokio::test]
async fn what_was_left_out_is_said_and_how_to_have_it() {
    let found = SearchReply { files: vec![file("a", vec![line(1, "x", true)])], n_hits: 1, ..nothing() };
    for (reply, note, more) in [
        (
            SearchReply { more: true, ..found.clone() },
            "[there is more than these 1 matches; narrow the search with `path` or the pattern]\n",
            true,
        ),
        (
            SearchReply { stopped: Some(SearchStop::Cancelled), ..found.clone() },
            "[cancelled before everything was searched]\n",
            true,
        ),
        (
            SearchReply { stopped: Some(SearchStop::OutOfTime), ..found.clone() },
            "[stopped after 20 s before everything was searched; narrow the search with `path`]\n",
            true,
        ),
        (
            SearchReply { ignores_cut: true, ..found.clone() },
            "[ignore files were not read to their end: a file counts up to 262144 bytes, all of them up to 1048576; \
             narrow the search with `path`]\n",
            false,
        ),
        (
            SearchReply { n_unread: 3, ..found.clone() },
            "[3 files or directories could not be read to their end]\n",
            false,
        ),
        (
            SearchReply { n_too_large: 2, ..found },
            "[2 directories have more names, or lie deeper, than is searched; name them with `path`]\n",
            false,
        ),
    ] {
        let tools = Tools::new(Ok(reply)).await;
        let told = tools.run("grep", json!({ "pattern": "x" })).await.expect("it answers");
        assert_eq!(told.content, format!("a:1: x\n{note}"));
        assert_eq!(told.detail["more"], more, "{note}");
    }
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes_whatever_is_found() {
    let long = "p".repeat(4_000);
    let lines: Vec<FoundLine> = (1..=500).map(|number| line(number, "x", true)).collect();
    let page = |lines: Vec<FoundLine>| SearchReply {
        files: vec![file(&long, lines), file("next", vec![line(1, "x", true)])],
        ..nothing()
    };
    let text = said(page(lines), "grep", json!({ "pattern": "x" })).await;
    assert!(text.len() <= OUTPUT_BYTES_MAX && text.len() > OUTPUT_BYTES_MAX - 8 * 1024, "{}", text.len());
    assert!(
        text.ends_with(
            "[there is more than these 32 matches; narrow the search with `path` or the pattern]\n"
        )
    );
    let files = (0..100).map(|_| file(&long, Vec::new())).collect();
    let text = said(SearchReply { files, ..nothing() }, "glob", json!({ "pattern": "x" })).await;
    assert!(
        text.len() <= OUTPUT_BYTES_MAX
            && text.ends_with("these 32 paths; narrow the search with `path` or the pattern]\n")
    );
}

#[tokio::test]
async fn what_a_path_or_a_pattern_is_good_for_is_told_to_the_model_and_other_faults_are_the_hosts() {
    for code in ["not_found", "denied", "invalid", "io", "no_space", "too_large"] {
        let tools = Tools::new(Err(Fault::new(code, "cannot search `x`: so it is"))).await;
        for tool in ["glob", "grep"] {
            let told = tools.run(tool, json!({ "pattern": "x" })).await.expect("it answers");
            assert_eq!((told.content.as_str(), told.is_error), ("cannot search `x`: so it is", true));
        }
    }
    for code in ["overloaded", "no_service", "cancelled"] {
        let fault = Fault::new(code, "not now");
        let tools = Tools::new(Err(fault.clone())).await;
        assert_eq!(tools.run("grep", json!({ "pattern": "x" })).await, Err(fault));
    }
}

#[tokio::test]
async fn it_contributes_two_reading_tools_for_any_computer_and_has_nothing_to_configure() {
    let tools = Tools::new(Ok(nothing())).await.tools;
    let tools = &tools.started().contributes.tools;
    let shown: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.effect, tool.locality)).collect();
    assert_eq!(shown, [("glob", Effect::Read, Locality::Any), ("grep", Effect::Read, Locality::Any)]);
    let refused = FakeHost::new().open::<SearchTools>("tool-search", json!({ "root": "/" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `root`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
