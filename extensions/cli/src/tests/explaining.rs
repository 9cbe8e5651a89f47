//! `dispatch explain` from its words to its exit code.

use super::terminal::{NO_TTY, Written, begin_command, cli, read_to_end};
use dispatch_sdk::Fault;
use dispatch_testkit::Opened;
use serde_json::{Value, json};

async fn explain(cli: &Opened, argv: &[&str]) -> Written {
    read_to_end(begin_command(cli, "explain", argv, NO_TTY)).await
}

fn answers(cli: &Opened, reply: Value) {
    cli.host().on("op.v1/run#turns.explain", move |_| Ok(reply.clone()));
}

fn a_turn() -> Value {
    json!({
        "conversation_id": "c1", "turn_id": "t1", "started_at": 1, "provider": "one", "model": "m",
        "stop": { "at": 24, "by": "user:\u{1b}ann" },
        "changes": [{ "point": "turn.tools", "filter": "lean", "ops": [{ "op": "remove", "at": 3 }] }],
        "steps": [
            {
                "step_id": "t1#0", "finish": "tool_calls", "timing": { "first_ms": 3, "stream_ms": 9, "step_ms": 20 },
                "usage": { "input_tokens": 10, "output_tokens": 5 },
                "retries": [{ "attempt": 1, "delay_ms": 500, "class": "rate_limited", "message": "slow\u{1b}[2J\ndown" }],
                "changes": [
                    { "point": "tool.result", "filter": "redact", "tool_call_id": "a", "duration_ms": 2, "ops": [
                        { "op": "replace", "at": "content", "after": "1: [redacted:aws]\n2: \u{1b}[31m", "cut": true },
                    ] },
                    { "point": "provider.request", "filter": "cheap", "ops": [
                        { "op": "replace", "at": "model", "before": "m", "after": "s" },
                        { "op": "remove", "at": "system", "before": { "a": 1 } },
                    ] },
                    { "point": "tool.call", "filter": "guard", "tool_call_id": "b", "ops": [],
                      "policy": { "decision": "deny", "reason": "at\u{1b} night" } },
                    { "point": "tool.call", "filter": "replay", "ops": [], "answered": true },
                ],
                "tools": [
                    { "tool_call_id": "a", "name": "read_file", "effect": "read", "status": "ok", "duration_ms": 7 },
                    { "tool_call_id": "b", "name": "shell", "effect": "exec", "status": "denied", "duration_ms": 0,
                      "denied_by": "policy", "reason": "it was not run\nat all" },
                    { "tool_call_id": "d", "name": "ev\u{1b}il", "approval": {} },
                    { "tool_call_id": "e", "name": "shell", "approval": {
                        "decision": "allow", "by": "user:\u{1b}", "scope": "conversation", "waited_ms": 9,
                        "args": "{\"cmd\":\"\u{1b}ls\"}" } },
                ],
            },
            { "step_id": "t1#1" },
        ],
        "notices": [{ "code": "filter_failed", "message": "filter `lame` failed" }],
        "error": { "code": "auth", "class": "auth", "message": "the key was refused" },
        "ended": { "status": "failed", "reason": "auth", "usage": { "input_tokens": 10, "output_tokens": 5 }, "duration_ms": 30 },
        "incomplete": true,
    })
}

#[tokio::test]
async fn a_wrong_command_line_asks_nothing_and_exits_2() {
    let cli = cli().await;
    for argv in [&[][..], &["c1", "t1", "more"], &["c1", "--text"]] {
        let written = explain(&cli, argv).await;
        assert_eq!((written.exit_code, written.out.as_str()), (2, ""), "{argv:?}");
        assert!(written.err.contains("Usage: dispatch explain"), "{argv:?}: {}", written.err);
    }
    assert_eq!(cli.host().calls_of("op.v1/run#turns.explain"), Vec::<Value>::new());
    let help = explain(&cli, &["--help"]).await;
    assert_eq!((help.exit_code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Usage: dispatch explain"), "{}", help.out);
}

#[tokio::test]
async fn what_the_op_refuses_is_one_line_and_its_exit_code() {
    let cli = cli().await;
    cli.host().on("op.v1/run#turns.explain", |_| {
        Err(Fault::new("not_found", "there is no conversation `c\u{1b}1`"))
    });
    let written = explain(&cli, &["c1"]).await;
    let err = "error: there is no conversation `c␛1` (not_found)\n".to_owned();
    assert_eq!(written, Written { err, exit_code: 1, ..Written::default() });
}

#[tokio::test]
async fn the_newest_turn_is_asked_for_unless_one_is_named() {
    let cli = cli().await;
    answers(&cli, a_turn());
    assert_eq!(explain(&cli, &["c1"]).await.exit_code, 0);
    assert_eq!(explain(&cli, &["c1", "t1", "--json"]).await.exit_code, 0);
    let asked = [json!({ "conversation_id": "c1" }), json!({ "conversation_id": "c1", "turn_id": "t1" })];
    assert_eq!(cli.host().calls_of("op.v1/run#turns.explain"), asked);
}

#[tokio::test]
async fn a_person_reads_plain_lines_of_what_happened_and_why() {
    let cli = cli().await;
    answers(&cli, a_turn());
    let expected = "\
turn t1 of conversation c1: failed (auth) in 30 ms, 10 tokens in, 5 out
provider one, model m
its stop was asked for by user:␛ann after 23 ms
filter lean at turn.tools
  remove 3
step t1#0: 20 ms, stream 9 ms, first content after 3 ms, finish tool_calls, 10 tokens in, 5 out
  attempt 1 failed, again after 500 ms: slow␛[2J down (rate_limited)
  tool read_file (read) a: ok, 7 ms
  tool shell (exec) b: denied by the policy of the host, 0 ms: it was not run
  tool ev␛il d: no result
    asked: nobody has answered
  tool shell e: no result
    asked: allowed in this conversation by user:␛ after 9 ms; it ran with {\"cmd\":\"␛ls\"}
  filter redact at tool.result on a, 2 ms
    replace content: 1: [redacted:aws] 2: ␛[31m (cut)
  filter cheap at provider.request
    replace model: m → s
    remove system: was {\"a\":1}
  filter guard at tool.call on b: denies it: at␛ night
  filter replay at tool.call: answered in the tool's place
step t1#1: not completed
notice filter_failed: filter `lame` failed
error: the key was refused (auth)
something is missing: the turn is long, or the log holds rows that cannot be read
";
    assert_eq!(explain(&cli, &["c1"]).await, Written { out: expected.to_owned(), ..Written::default() });
}

#[tokio::test]
async fn a_turn_that_has_not_ended_says_so() {
    let cli = cli().await;
    let open =
        json!({ "conversation_id": "c1", "turn_id": "t1", "started_at": 1, "provider": "one", "steps": [] });
    answers(&cli, open);
    let out = "turn t1 of conversation c1: not ended\nprovider one\n".to_owned();
    assert_eq!(explain(&cli, &["c1"]).await, Written { out, ..Written::default() });
}

#[tokio::test]
async fn json_is_one_line_that_no_terminal_obeys() {
    let cli = cli().await;
    let mut turn = a_turn();
    turn["provider"] = json!("o\u{9b}ne");
    answers(&cli, turn.clone());
    let written = explain(&cli, &["c1", "--json"]).await;
    assert_eq!((written.out.matches('\n').count(), written.err.as_str(), written.exit_code), (1, "", 0));
    assert!(!written.out.contains(['\u{1b}', '\u{9b}']), "{}", written.out);
    assert_eq!(serde_json::from_str::<Value>(&written.out).unwrap(), turn);
}
