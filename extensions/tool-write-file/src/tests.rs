//! What `write_file` asks of `exec.v1`, and what it tells the model.

use crate::WriteFile;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::{Effect, Run, RunParams, RunReply};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

async fn that_answers(reply: Result<Value, Fault>) -> Opened {
    let host = FakeHost::new();
    host.on("exec.v1/write", move |_| reply.clone());
    host.open::<WriteFile>("tool-write-file", json!({})).await.expect("it opens")
}

fn written(created: bool) -> Result<Value, Fault> {
    Ok(json!({ "path": "/w/f", "bytes": 6, "sha256": "ab", "created": created }))
}

async fn run(tool: &Opened, args: Value) -> Result<RunReply, Fault> {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    let params = RunParams { tool_call_id: "call-1".to_owned(), args, cwd: "/w".to_owned() };
    tool.call_named(Run, "write_file", &params).await
}

#[tokio::test]
async fn arguments_without_sense_are_refused_and_nothing_is_written() {
    let tool = that_answers(written(true)).await;
    let wrong = [
        json!({}),
        json!({ "path": "f" }),
        json!({ "path": "", "content": "x" }),
        json!({ "path": "f", "content": 1 }),
        json!({ "path": "f", "content": "x", "overwrite": "true" }),
    ];
    for args in wrong {
        assert_eq!(run(&tool, args).await.expect_err("it is refused").code, "invalid");
    }
    assert_eq!(tool.host().calls_of("exec.v1/write"), Vec::<Value>::new());
}

#[tokio::test]
async fn a_file_that_is_there_is_named_and_how_to_replace_it_is_said() {
    let fault = Fault::new("conflict", "cannot write `/w/f`: there is a file of 4 bytes already");
    let reply = run(&that_answers(Err(fault)).await, json!({ "path": "f", "content": "x" })).await;
    let content = "cannot write `/w/f`: there is a file of 4 bytes already; nothing was changed; to replace the \
                   file, set `overwrite` to true";
    assert_eq!(
        reply,
        Ok(RunReply {
            content: content.to_owned(),
            is_error: true,
            detail: Value::Null,
            ..RunReply::default()
        })
    );
}

#[tokio::test]
async fn what_the_file_system_refuses_is_the_tools_answer_and_other_trouble_is_a_fault() {
    for (code, is_answer) in [
        ("not_found", true),
        ("denied", true),
        ("invalid", true),
        ("io", true),
        ("too_large", true),
        ("overloaded", false),
    ] {
        let fault = Fault::new(code, "cannot write `/w/f`: because");
        let reply = run(&that_answers(Err(fault.clone())).await, json!({ "path": "f", "content": "" })).await;
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
async fn a_new_file_is_told_from_a_replaced_one_with_bytes_and_lines() {
    for (overwrite, created, said) in [(false, true, "created"), (true, false, "replaced")] {
        let tool = that_answers(written(created)).await;
        let args = json!({ "path": "f", "content": "é\nb\nc", "overwrite": overwrite });
        let reply = run(&tool, args).await.expect("the tool answers");
        let detail = json!({ "path": "/w/f", "bytes": 6, "lines": 3, "created": created, "sha256": "ab" });
        let content = format!("{said} `f`: 6 bytes, 3 lines");
        assert_eq!(reply, RunReply { content, is_error: false, detail, ..RunReply::default() });
        let asked = json!({
            "path": "f", "cwd": "/w", "data": "w6kKYgpj", "make_dirs": true,
            "if_exists": if overwrite { "replace" } else { "fail" },
        });
        assert_eq!(tool.host().calls_of("exec.v1/write"), [asked]);
    }
}

#[tokio::test]
async fn it_contributes_one_tool_that_runs_alone_and_has_nothing_to_configure() {
    let tool = that_answers(written(true)).await;
    let tools = &tool.started().contributes.tools;
    assert_eq!((tools.len(), tools[0].name.as_str()), (1, "write_file"));
    assert_eq!((tools[0].effect, tools[0].exclusive), (Effect::Write, true));
    let refused = FakeHost::new().open::<WriteFile>("tool-write-file", json!({ "root": "/" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `root`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
