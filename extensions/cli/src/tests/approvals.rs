//! `approvals.v1/ask` on the terminal of a `run`.

use super::terminal::{ALL_TTY, NO_TTY, Written, begin, cli, ended, read_to_end, text, types};
use dispatch_sdk::Item;
use dispatch_sdk::contracts::approvals::Ask;
use dispatch_sdk::contracts::command::{Main, Tty};
use dispatch_sdk::contracts::turn::AskParams;
use dispatch_testkit::{Opened, OpenedStream};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

const PROMPT: &str = "  allow this exec? [y]es / [a]lways in this conversation / [N]o ";

fn question(conversation_id: &str, args: Value) -> AskParams {
    let params = json!({
        "conversation_id": conversation_id, "turn_id": "t1", "tool_call_id": "call", "tool": "shell",
        "effect": "exec", "args": args,
    });
    serde_json::from_value(params).expect("a question")
}

async fn ask(cli: &Opened, conversation_id: &str, args: Value) -> Value {
    match cli.call(Ask, &question(conversation_id, args)).await {
        Ok(reply) => serde_json::to_value(reply).expect("replies encode"),
        Err(fault) => json!(fault.code),
    }
}

/// A `run` whose turn has said `half` and goes on when told.
async fn running(cli: &Opened, tty: Tty) -> (OpenedStream<Main>, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    cli.host().on_stream("op.v1/run#turns.watch", {
        let go_on = Arc::clone(&go_on);
        move |_, out| {
            let go_on = Arc::clone(&go_on);
            async move {
                out.emit(text("half")).await?;
                go_on.notified().await;
                out.emit(ended("completed", "stop")).await?;
                Ok(json!({ "cursor": 9 }))
            }
        }
    });
    let mut stream = begin(cli, &["hi"], tty);
    assert!(matches!(stream.next().await, Ok(Item::Frame(frame)) if frame.text == "· conversation c1\n"));
    assert!(matches!(stream.next().await, Ok(Item::Frame(frame)) if frame.text == "half"));
    (stream, go_on)
}

#[tokio::test]
async fn only_a_clear_yes_is_a_yes() {
    for (typed, reply) in [
        ("y\n", json!({ "decision": "allow", "scope": "once", "by": "user:test" })),
        ("YES\r\n", json!({ "decision": "allow", "scope": "once", "by": "user:test" })),
        (" a \n", json!({ "decision": "allow", "scope": "conversation", "by": "user:test" })),
        ("n\n", json!({ "decision": "deny", "reason": "the user said no", "by": "user:test" })),
        ("\n", json!({ "decision": "deny", "reason": "the user said no", "by": "user:test" })),
        ("yes please\n", json!({ "decision": "deny", "reason": "the user said no", "by": "user:test" })),
        ("", json!({ "decision": "deny", "reason": "the user said no", "by": "user:test" })),
    ] {
        let cli = cli().await;
        types(&cli, &[typed]);
        let (stream, go_on) = running(&cli, ALL_TTY).await;
        assert_eq!(ask(&cli, "c1", json!({})).await, reply, "{typed:?}");
        go_on.notify_one();
        read_to_end(stream).await;
        assert_eq!(
            cli.host().calls_of("command_host.v1/read"),
            // The id, the text, its line feed, the question stand there before it.
            [json!({ "bytes_max": 256, "line": true, "question": { "after_frames": 4, "prompt": PROMPT } })]
        );
    }
}

#[tokio::test]
async fn a_question_shows_all_of_it_plain_and_page_by_page() {
    let cli = cli().await;
    types(&cli, &["\n", "y\n", "more"]);
    let (stream, go_on) = running(&cli, ALL_TTY).await;
    let script = "echo\n".repeat(44) + "rm\u{200b} \u{9b}2J\u{202e}";
    assert_eq!(ask(&cli, "c1", json!({ "command": script })).await["decision"], "allow");
    go_on.notify_one();
    let written = read_to_end(stream).await;
    let prompts: Vec<Value> = cli
        .host()
        .calls_of("command_host.v1/read")
        .iter()
        .map(|read| read["question"]["prompt"].clone())
        .collect();
    assert_eq!(prompts, ["  40 of 46 lines; [Enter] shows more, [n]o refuses ", PROMPT]);
    let echo = "    │ echo\n";
    let err = format!(
        "? shell wants to run a program\n  command:\n{}{}{}",
        echo.repeat(39),
        echo.repeat(5),
        "    │ rm<U+200B> <U+009B>2J<U+202E>\n· go on with `--conversation c1`\n",
    );
    assert_eq!(written, Written { out: "\n".into(), err, exit_code: 0 });
}

#[tokio::test]
async fn what_was_not_shown_to_its_end_is_not_allowed() {
    let cli = cli().await;
    types(&cli, &["n\n", "y\n"]);
    let (stream, go_on) = running(&cli, ALL_TTY).await;
    assert_eq!(ask(&cli, "c1", json!({ "command": "x\n".repeat(100) })).await["decision"], "deny");
    let reply = ask(&cli, "c1", json!({ "command": "x\n".repeat(10_000) })).await;
    assert!(reply["reason"].as_str().unwrap().contains("smaller parts"), "{reply}");
    assert_eq!(cli.host().calls_of("command_host.v1/read").len(), 1);
    go_on.notify_one();
    read_to_end(stream).await;
}

#[tokio::test]
async fn questions_come_one_at_a_time() {
    let cli = cli().await;
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    cli.host().on_stream("command_host.v1/read", {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        move |_, _| {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                asked.notify_one();
                answer.notified().await;
                Ok(json!({ "text": "y\n", "eof": false }))
            }
        }
    });
    let (stream, go_on) = running(&cli, ALL_TTY).await;
    let n_reads = || cli.host().calls_of("command_host.v1/read").len();
    let questions = async { tokio::join!(ask(&cli, "c1", json!({})), ask(&cli, "c1", json!({}))) };
    let terminal = async {
        for n in 1..=2 {
            asked.notified().await;
            assert_eq!(n_reads(), n);
            answer.notify_one();
        }
    };
    let (replies, ()) = tokio::join!(questions, terminal);
    let yes = json!({ "decision": "allow", "scope": "once", "by": "user:test" });
    assert_eq!(replies, (yes.clone(), yes));
    go_on.notify_one();
    read_to_end(stream).await;
}

#[tokio::test]
async fn without_a_terminal_nobody_is_asked() {
    let cli = cli().await;
    assert_eq!(ask(&cli, "c1", json!({})).await, json!("unavailable"), "no run at all");
    for tty in [NO_TTY, Tty { stdin: false, ..ALL_TTY }, Tty { stderr: false, ..ALL_TTY }] {
        let (stream, go_on) = running(&cli, tty).await;
        let reason = "there is no terminal to ask on; allow it with `--allow exec`";
        assert_eq!(ask(&cli, "c1", json!({})).await, json!({ "decision": "deny", "reason": reason }));
        assert_eq!(ask(&cli, "another", json!({})).await, json!("unavailable"), "another conversation");
        go_on.notify_one();
        read_to_end(stream).await;
    }
    assert_eq!(ask(&cli, "c1", json!({})).await, json!("unavailable"), "the run is over");
    let questions = |read: &Value| read["line"] == true;
    assert!(!cli.host().calls_of("command_host.v1/read").iter().any(questions));
}

#[tokio::test]
async fn a_question_that_comes_before_the_answer_of_start_finds_its_run() {
    let cli = cli().await;
    types(&cli, &["y\n", "more"]);
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    cli.host().on_stream("op.v1/run#turns.start", {
        let (asked, go_on) = (Arc::clone(&asked), Arc::clone(&go_on));
        move |_, _| {
            let (asked, go_on) = (Arc::clone(&asked), Arc::clone(&go_on));
            async move {
                asked.notify_one();
                go_on.notified().await;
                Ok(json!({ "conversation_id": "c1", "turn_id": "t1", "cursor": 4, "durable": true }))
            }
        }
    });
    let watched = Arc::new(Notify::new());
    cli.host().on_stream("op.v1/run#turns.watch", {
        let watched = Arc::clone(&watched);
        move |_, out| {
            let watched = Arc::clone(&watched);
            async move {
                watched.notified().await;
                out.emit(ended("completed", "stop")).await?;
                Ok(json!({ "cursor": 9 }))
            }
        }
    });
    let stream = begin(&cli, &["hi"], ALL_TTY);
    asked.notified().await;
    let (reply, ()) = tokio::join!(ask(&cli, "c1", json!({})), async { go_on.notify_one() });
    assert_eq!(reply, json!({ "decision": "allow", "scope": "once", "by": "user:test" }));
    watched.notify_one();
    read_to_end(stream).await;
}

#[tokio::test]
async fn a_question_ends_with_the_call_that_asks_it() {
    let cli = cli().await;
    cli.host().on_stream("command_host.v1/read", |_, out| async move {
        out.cancelled().await;
        Ok(json!({ "text": "", "eof": true }))
    });
    let (stream, go_on) = running(&cli, ALL_TTY).await;
    let asking = cli.stream(Ask, &question("c1", json!({})));
    while cli.host().calls_of("command_host.v1/read").is_empty() {
        tokio::task::yield_now().await;
    }
    asking.cancel();
    let (_, reply) = asking.finish().await;
    assert!(reply.is_err_and(|fault| fault.is("cancelled")));
    go_on.notify_one();
    assert_eq!(read_to_end(stream).await.exit_code, 0, "the run goes on");
}
