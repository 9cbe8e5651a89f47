//! What `shell` tells the model and its watchers, over an `exec.v1` that the test plays.

use crate::Shell;
use crate::args::Args;
use crate::transcript::{RESULT_CHARS_MAX, Transcript};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::{Effect, OutputStream, Run, RunParams, RunReply, ToolFrame};
use dispatch_testkit::{FakeHost, FakeOut, Opened};
use serde_json::{Value, json};
use std::future::pending;

fn end(changes: Value) -> Value {
    let mut end = json!({ "exit_code": 0, "output_bytes": 4, "duration_ms": 12 });
    let (Value::Object(end_fields), Value::Object(changes)) = (&mut end, changes) else {
        panic!("an end is an object")
    };
    end_fields.extend(changes);
    end
}

/// A host whose programs write `output` and end with `reply`.
async fn that_writes(output: &'static [(&'static str, &'static str)], reply: Result<Value, Fault>) -> Opened {
    let host = FakeHost::new();
    host.on_stream("exec.v1/spawn", move |_, out: FakeOut| {
        let reply = reply.clone();
        async move {
            for (stream, text) in output {
                out.emit(json!({ "stream": stream, "text": text })).await?;
            }
            reply
        }
    });
    open(host).await
}

async fn open(host: FakeHost) -> Opened {
    host.open::<Shell>("tool-shell", json!({})).await.expect("it opens")
}

fn params(args: Value) -> RunParams {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    RunParams { tool_call_id: "call-1".to_owned(), args, cwd: "/w".to_owned() }
}

async fn run(tool: &Opened) -> Result<RunReply, Fault> {
    tool.call_named(Run, "shell", &params(json!({ "command": "make" }))).await
}

async fn said(output: &'static [(&'static str, &'static str)], reply: Value) -> (String, bool) {
    let reply = run(&that_writes(output, Ok(reply)).await).await.expect("the tool answers");
    (reply.content, reply.is_error)
}

#[tokio::test]
async fn arguments_without_sense_are_refused_and_nothing_runs() {
    let tool = that_writes(&[], Ok(end(json!({})))).await;
    let wrong = [
        json!({}),
        json!({ "command": "" }),
        json!({ "command": " \n\t" }),
        json!({ "command": "a\0b" }),
        json!({ "command": ["ls"] }),
        json!({ "command": "ls", "timeout_ms": 0 }),
        json!({ "command": "ls", "timeout_ms": 0.5 }),
        json!({ "command": "ls", "timeout_ms": -1 }),
    ];
    for args in wrong {
        let fault = tool.call_named(Run, "shell", &params(args)).await.expect_err("it is refused");
        assert_eq!(fault.code, "invalid", "{fault}");
    }
    assert_eq!(tool.host().calls_of("exec.v1/spawn"), Vec::<Value>::new());
}

#[test]
fn the_timeout_has_a_default_and_a_bound_and_may_be_a_whole_float() {
    let timeout_ms = |args| Args::parse(params(args).args).expect("arguments").timeout_ms;
    assert_eq!(timeout_ms(json!({ "command": "ls" })), 120_000);
    assert_eq!(timeout_ms(json!({ "command": "ls", "timeout_ms": 5000.0 })), 5_000);
    assert_eq!(timeout_ms(json!({ "command": "ls", "timeout_ms": 9_000_000 })), 600_000);
}

#[tokio::test]
async fn what_the_machine_refuses_is_the_tools_answer_and_other_trouble_is_a_fault() {
    for (code, is_answer) in
        [("not_found", true), ("denied", true), ("invalid", true), ("io", true), ("overloaded", false)]
    {
        let fault = Fault::new(code, "cannot run `sh` in `/w`: because");
        let reply = run(&that_writes(&[], Err(fault.clone())).await).await;
        if is_answer {
            let content = fault.message;
            assert_eq!(
                reply,
                Ok(RunReply { content, is_error: true, detail: Value::Null, ..RunReply::default() })
            );
        } else {
            assert_eq!(reply, Err(fault));
        }
    }
}

#[tokio::test]
async fn every_end_that_is_no_success_is_said_and_is_an_error() {
    let output = &[("stdout", "half")];
    let ends = [
        (end(json!({ "exit_code": 3 })), "half\n[exit code 3]"),
        (end(json!({ "exit_code": null, "signal": 11 })), "half\n[killed by signal 11]"),
        (
            end(json!({ "exit_code": null, "signal": 9, "timed_out": true })),
            "half\n[timed out after 120000 ms and was killed]",
        ),
        (
            end(json!({ "exit_code": 0, "timed_out": true })),
            "half\n[timed out after 120000 ms and was killed]",
        ),
        (end(json!({ "exit_code": 143, "cancelled": true })), "half\n[cancelled]\n[exit code 143]"),
        (end(json!({ "exit_code": null })), "half\n[how it ended is unknown]"),
    ];
    for (end, content) in ends {
        assert_eq!(said(output, end).await, (content.to_owned(), true));
    }
}

#[tokio::test]
async fn a_command_without_output_says_so() {
    assert_eq!(said(&[], end(json!({}))).await, ("(no output)".to_owned(), false));
    let failed = said(&[], end(json!({ "exit_code": 1 }))).await;
    assert_eq!(failed, ("(no output)\n[exit code 1]".to_owned(), true));
}

#[tokio::test]
async fn output_is_shown_live_and_kept_in_order() {
    let tool = that_writes(&[("stdout", "one\n"), ("stderr", "two\n")], Ok(end(json!({})))).await;
    let stream = tool.stream_named(Run, "shell", &params(json!({ "command": "make", "timeout_ms": 7 })));
    let (frames, reply) = stream.finish().await;
    let frame = |stream, text: &str| ToolFrame { stream, text: text.to_owned() };
    assert_eq!(frames, [frame(OutputStream::Stdout, "one\n"), frame(OutputStream::Stderr, "two\n")]);
    let detail = json!({
        "exit_code": 0, "signal": null, "timed_out": false, "cancelled": false,
        "duration_ms": 12, "output_bytes": 4, "dropped_bytes": 0, "output_file": null,
    });
    assert_eq!(
        reply,
        Ok(RunReply { content: "one\ntwo\n".to_owned(), is_error: false, detail, ..RunReply::default() })
    );
    let asked = json!({
        "argv": ["sh", "-c", "make"], "cwd": "/w", "timeout_ms": 7,
        "output_bytes_max": 0, "output_file_over_bytes": RESULT_CHARS_MAX,
    });
    assert_eq!(tool.host().calls_of("exec.v1/spawn"), [asked]);
}

/// Cancels once the program has written, and answers what the tool said.
async fn cancelled(host: FakeHost) -> RunReply {
    let tool = open(host).await;
    let mut stream = tool.stream_named(Run, "shell", &params(json!({ "command": "make" })));
    stream.next().await.expect("a frame");
    stream.cancel();
    stream.finish().await.1.expect("a cancelled tool answers within its grace")
}

#[tokio::test]
async fn a_cancelled_command_answers_what_it_wrote() {
    let host = FakeHost::new();
    host.on_stream("exec.v1/spawn", |_, out: FakeOut| async move {
        out.emit(json!({ "stream": "stdout", "text": "half" })).await?;
        out.cancelled().await;
        Ok(end(json!({ "exit_code": null, "signal": 15, "cancelled": true })))
    });
    let reply = cancelled(host).await;
    assert_eq!((reply.content.as_str(), reply.is_error), ("half\n[cancelled]", true));
}

#[tokio::test]
async fn a_cancelled_command_answers_even_if_exec_does_not() {
    let host = FakeHost::new();
    host.on_stream("exec.v1/spawn", |_, out: FakeOut| async move {
        out.emit(json!({ "stream": "stdout", "text": "half" })).await?;
        pending().await
    });
    let reply = cancelled(host).await;
    assert_eq!((reply.content.as_str(), reply.is_error), ("half\n[cancelled]", true));
}

#[test]
fn a_long_output_keeps_both_ends_and_counts_the_middle() {
    let mut transcript = Transcript::default();
    transcript.push(&"€".repeat(RESULT_CHARS_MAX / 2 - 1));
    transcript.push("abc");
    transcript.push(&"ü".repeat(RESULT_CHARS_MAX / 2));
    let note = "\n[… 7 bytes left out; narrow the output or write it to a file …]\n";
    let half = RESULT_CHARS_MAX / 2;
    assert_eq!(transcript.text(5, None), format!("{}a{note}{}", "€".repeat(half - 1), "ü".repeat(half)));
    let mut whole = Transcript::default();
    whole.push(&"x".repeat(RESULT_CHARS_MAX));
    assert_eq!(whole.text(0, None), "x".repeat(RESULT_CHARS_MAX));
}

/// What is said of an output that is too long, when `exec.v1` says this of its file.
async fn said_of_a_long_output(file: Value) -> RunReply {
    let host = FakeHost::new();
    host.on_stream("exec.v1/spawn", move |_, out: FakeOut| {
        let file = file.clone();
        async move {
            for _ in 0..6 {
                out.emit(json!({ "stream": "stdout", "text": "x".repeat(RESULT_CHARS_MAX / 5) })).await?;
            }
            Ok(end(file))
        }
    });
    run(&open(host).await).await.expect("the tool answers")
}

#[tokio::test]
async fn the_file_with_the_whole_output_is_named_and_what_is_missing_in_it_too() {
    let path = "/cache/exec-local/output/1.log";
    let reply = said_of_a_long_output(json!({ "output_file": path, "dropped_bytes": 7 })).await;
    let note =
        format!("\n[… 10007 bytes left out; the whole output is in `{path}`: read or search that file …]\n");
    let half = "x".repeat(RESULT_CHARS_MAX / 2);
    assert_eq!((reply.content, reply.is_error), (format!("{half}{note}{half}"), false));
    assert_eq!(reply.detail["output_file"], path);
    let partly = json!({ "output_file": path, "output_file_note": "it holds only the first 3 bytes" });
    let content = said_of_a_long_output(partly).await.content;
    assert!(content.ends_with("x\n[of the file: it holds only the first 3 bytes]"), "{content}");
    let none = json!({ "output_file_note": "its output was not kept: the disk is full" });
    let content = said_of_a_long_output(none).await.content;
    assert!(content.contains("left out; narrow the output or write it to a file"), "{content}");
    assert!(content.ends_with("x\n[its output was not kept: the disk is full]"), "{content}");
}

#[tokio::test]
async fn a_file_of_an_output_that_is_whole_is_not_mentioned() {
    let reply = said(&[("stdout", "half")], end(json!({ "output_file": "/cache/1.log" }))).await;
    assert_eq!(reply, ("half".to_owned(), false));
}

#[tokio::test]
async fn it_contributes_one_tool_that_runs_alone_and_has_nothing_to_configure() {
    let tool = that_writes(&[], Ok(end(json!({})))).await;
    let tools = &tool.started().contributes.tools;
    assert_eq!((tools.len(), tools[0].name.as_str()), (1, "shell"));
    assert_eq!((tools[0].effect, tools[0].exclusive), (Effect::Exec, true));
    let refused = FakeHost::new().open::<Shell>("tool-shell", json!({ "sandbox": true })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `sandbox`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
