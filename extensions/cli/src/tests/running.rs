//! `dispatch run` from its words to its exit code.

use super::terminal::{
    ALL_TTY, HERE, NO_TTY, Written, cli, ended, event, run, shows, shows_bytes, text, types,
};
use crate::words::clock_time;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use serde_json::{Value, json};

#[tokio::test]
async fn a_wrong_command_line_starts_nothing_and_exits_2() {
    let cli = cli().await;
    types(&cli, &[" \n"]);
    for (argv, tty, told) in [
        (&["--provder", "x"][..], ALL_TTY, "--provider"),
        (&[], ALL_TTY, "error: there is nothing to say: add a prompt, or `-` to type one\n"),
        (&[], NO_TTY, "error: there is nothing to say: standard input is blank\n"),
        (&["-"], ALL_TTY, "error: there is nothing to say: standard input is blank\n"),
        (&["  "], ALL_TTY, "error: there is nothing to say: the prompt is blank\n"),
        (&["--\u{1b}[2J"], ALL_TTY, "␛[2J"),
        (&["hi", "--cwd", "no/such"], ALL_TTY, "error: there is no directory `/no/such`; tools"),
    ] {
        let written = run(&cli, argv, tty).await;
        assert_eq!((written.exit_code, written.out.as_str()), (2, ""), "{argv:?}");
        assert!(written.err.contains(told), "{argv:?}: {}", written.err);
        assert!(!written.err.contains('\u{1b}'), "{argv:?}");
    }
    assert_eq!(cli.host().calls_of("op.v1/run#turns.start"), Vec::<Value>::new());
}

#[tokio::test]
async fn help_goes_to_standard_output() {
    let written = run(&cli().await, &["--help"], NO_TTY).await;
    assert!(written.out.contains("Usage: dispatch run"), "{}", written.out);
    assert_eq!((written.exit_code, written.err.as_str()), (0, ""));
}

#[tokio::test]
async fn the_words_or_standard_input_become_the_input() {
    let cases: &[(&[&str], _, &[&str], Value)] = &[
        (&["fix", "the", "bug"], ALL_TTY, &[], json!({ "input": "fix the bug", "cwd": HERE })),
        (
            &["what", "is", "this?"],
            NO_TTY,
            &["a\n", "b\n"],
            json!({ "input": "what is this?\n\na\nb", "cwd": HERE }),
        ),
        (&["hi"], NO_TTY, &["\n"], json!({ "input": "hi", "cwd": HERE })),
        (&[], NO_TTY, &["from\n", "stdin\n\n"], json!({ "input": "from\nstdin", "cwd": HERE })),
        (
            &["-", "--cwd", "proc/./self"],
            ALL_TTY,
            &["typed"],
            json!({ "input": "typed", "cwd": "/proc/self" }),
        ),
        (&["a", "-", "--cwd", "/proc"], NO_TTY, &[], json!({ "input": "a -", "cwd": "/proc" })),
        (
            &["--conversation", "c1", "--provider", "p", "--model", "m", "--", "--json"],
            NO_TTY,
            &[],
            json!({ "conversation_id": "c1", "input": "--json", "provider": "p", "model": "m", "cwd": HERE }),
        ),
    ];
    for (argv, tty, typed, started) in cases {
        let cli = cli().await;
        types(&cli, typed);
        shows(&cli, vec![ended("completed", "stop")]);
        assert_eq!(run(&cli, argv, *tty).await.exit_code, 0, "{argv:?}");
        assert_eq!(cli.host().calls_of("op.v1/run#turns.start"), std::slice::from_ref(started), "{argv:?}");
        let watched = json!({ "conversation_id": "c1", "after": 4, "until_turn": "t1" });
        assert_eq!(cli.host().calls_of("op.v1/run#turns.watch"), [watched], "{argv:?}");
    }
}

#[tokio::test]
async fn an_input_beyond_the_bound_is_refused() {
    let cli = cli().await;
    cli.host().on("command_host.v1/read", |params| {
        let text = "x".repeat(params["bytes_max"].as_u64().unwrap_or_default() as usize);
        Ok(json!({ "text": text, "eof": false, "truncated": true }))
    });
    let written = run(&cli, &[], NO_TTY).await;
    let err = format!("error: the prompt is too long: at most {INPUT_BYTES_MAX} bytes\n");
    assert_eq!(written, Written { err, exit_code: 2, ..Written::default() });
}

#[tokio::test]
async fn text_goes_out_as_it_comes_and_all_else_is_a_note() {
    let cli = cli().await;
    shows(
        &cli,
        vec![
            event("turn_started", json!({ "provider": "p", "cwd": "/" })),
            event("reasoning_delta", json!({ "step_id": "t1#1", "text": "hidden" })),
            text("I look "),
            text("at it."),
            event("notice", json!({ "code": "n", "message": "a notice" })),
            event(
                "tool_call",
                json!({ "step_id": "s", "tool_call_id": "1", "name": "read_file", "args": { "path": "a.rs" } }),
            ),
            event(
                "tool_result",
                json!({
                    "step_id": "s", "tool_call_id": "1", "name": "read_file", "status": "ok", "content": "secret file",
                    "duration_ms": 12,
                }),
            ),
            event(
                "tool_call",
                json!({ "step_id": "s", "tool_call_id": "2", "name": "shell", "args": { "command": "make" } }),
            ),
            event(
                "tool_call",
                json!({ "step_id": "s", "tool_call_id": "3", "name": "shell", "args": { "command": "rm" } }),
            ),
            event(
                "tool_output",
                json!({ "tool_call_id": "2", "stream": "stdout", "text": "1\n2\n3\n4\n5\n" }),
            ),
            event(
                "tool_output",
                json!({ "tool_call_id": "2", "stream": "stdout", "text": "6\n\u{1b}[31mred\n" }),
            ),
            event(
                "tool_result",
                json!({
                    "step_id": "s", "tool_call_id": "2", "name": "shell", "status": "error", "content": "exit 2\nmore",
                    "duration_ms": 7,
                }),
            ),
            event(
                "tool_result",
                json!({
                    "step_id": "s", "tool_call_id": "3", "name": "shell", "status": "denied", "content": "the user said no",
                    "duration_ms": 0,
                }),
            ),
            event(
                "retry_scheduled",
                json!({
                    "step_id": "s", "attempt": 1, "delay_ms": 500, "class": "connect", "message": "no route",
                }),
            ),
            event("from_a_later_version", json!([1])),
            text("Done"),
            ended("completed", "stop"),
        ],
    );
    let written = run(&cli, &["hi"], NO_TTY).await;
    let tried = clock_time(501, 1);
    let err = [
        "· conversation c1",
        "· a notice",
        "· read_file path=a.rs",
        "  ok 12 ms",
        "· shell command=make",
        "· shell command=rm",
        "  shell │ 3",
        "  shell │ 4",
        "  shell │ 5",
        "  shell │ 6",
        "  shell │ ␛[31mred",
        "  shell: error 7 ms: exit 2",
        "  denied: the user said no",
        &format!("· try 1 failed (connect): no route; the next is at {tried}, in 500 ms"),
        "· go on with `--conversation c1`",
        "",
    ];
    let out = "I look at it.\nDone\n".to_owned();
    assert_eq!(written, Written { out, err: err.join("\n"), exit_code: 0 });
}

#[tokio::test]
async fn no_text_from_outside_reaches_the_terminal_raw() {
    let nasty = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\r\u{8}";
    let cli = cli().await;
    cli.host().on("op.v1/run#turns.start", move |_| {
        Ok(json!({ "conversation_id": "c1", "turn_id": "t1", "cursor": 4, "durable": true }))
    });
    shows(
        &cli,
        vec![
            text("a\u{1b}"),
            text("[2J\u{1b}]52;c;eA==\u{7}b"),
            event("notice", json!({ "code": "n", "message": nasty })),
            event(
                "retry_scheduled",
                json!({
                    "step_id": "s", "attempt": 1, "delay_ms": 5, "class": "connect", "message": nasty,
                }),
            ),
            event(
                "tool_call",
                json!({ "step_id": "s", "tool_call_id": "1", "name": nasty, "args": { nasty: nasty } }),
            ),
            event("tool_output", json!({ "tool_call_id": "1", "stream": "stderr", "text": nasty })),
            event(
                "tool_result",
                json!({
                    "step_id": "s", "tool_call_id": "1", "name": nasty, "status": "error", "content": nasty, "duration_ms": 1,
                }),
            ),
            event("error", json!({ "code": nasty, "message": nasty })),
            ended("failed", nasty),
        ],
    );
    let written = run(&cli, &["hi"], ALL_TTY).await;
    let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!written.out.contains(obeyed) && !written.err.contains(obeyed), "{written:?}");
    assert_eq!(written.out, "a␛[2J␛]52;c;eA==␇b\n");
}

#[tokio::test]
async fn each_end_of_a_turn_has_its_exit_code_and_its_line() {
    let error = |class: &str| {
        event(
            "error",
            json!({ "code": class, "class": class, "message": "it went wrong", "retry_after_ms": 900 }),
        )
    };
    let (begun, go_on) = ("· conversation c1\n", "· go on with `--conversation c1`\n");
    for (events, exit_code, line) in [
        (vec![ended("completed", "stop")], 0, ""),
        (
            vec![error("auth"), ended("failed", "auth")],
            77,
            "error: it went wrong (auth, retry after 900 ms)\n",
        ),
        (
            vec![error("stalled"), ended("failed", "stalled")],
            75,
            "error: it went wrong (stalled, retry after 900 ms)\n",
        ),
        (
            vec![error("bad_request"), ended("failed", "bad_request")],
            1,
            "error: it went wrong (bad_request, retry after 900 ms)\n",
        ),
        (vec![ended("interrupted", "stopped")], 75, "· interrupted: the host that ran the turn ended\n"),
        (vec![ended("cancelled", "stopped")], 130, "· stopped\n"),
    ] {
        let cli = cli().await;
        shows(&cli, events);
        let written = run(&cli, &["hi"], NO_TTY).await;
        assert_eq!(written, Written { out: String::new(), err: format!("{begun}{line}{go_on}"), exit_code });
    }
}

#[tokio::test]
async fn a_start_that_is_refused_has_the_exit_code_of_its_fault() {
    for (code, exit_code) in
        [("turn_in_flight", 75), ("no_provider", 78), ("invalid", 2), ("not_found", 1), ("no_service", 78)]
    {
        let cli = cli().await;
        cli.host().on("op.v1/run#turns.start", move |_| Err(Fault::new(code, "no\u{1b}pe")));
        let written = run(&cli, &["hi"], NO_TTY).await;
        assert_eq!(
            written,
            Written { out: String::new(), err: format!("error: no␛pe ({code})\n"), exit_code }
        );
    }
}

#[tokio::test]
async fn a_watch_that_breaks_off_is_told_with_the_way_on() {
    let cli = cli().await;
    shows(&cli, vec![text("half")]);
    let written = run(&cli, &["hi"], NO_TTY).await;
    let err =
        "· conversation c1\nerror: the events ended before the turn did (broken)\n· go on with `--conversation c1`\n".to_owned();
    assert_eq!(written, Written { out: "half\n".into(), err, exit_code: 1 });
}

#[tokio::test]
async fn an_event_of_an_unknown_shape_is_noted_and_the_rest_is_shown() {
    let cli = cli().await;
    let retry =
        json!({ "step_id": "s", "attempt": 1, "delay_ms": "soon", "class": "connect", "message": "m" });
    shows(&cli, vec![event("retry_scheduled", retry), text("all the same"), ended("completed", "stop")]);
    let written = run(&cli, &["hi"], NO_TTY).await;
    assert_eq!((written.out.as_str(), written.exit_code), ("all the same\n", 0));
    assert!(written.err.contains("\nerror: cannot read event 5 (`retry_scheduled`)"), "{}", written.err);
}

#[tokio::test]
async fn a_turn_is_started_in_the_name_of_whoever_called_the_command() {
    let cli = cli().await;
    cli.host().on_stream("op.v1/run#turns.start", |_, out| async move {
        Err(Fault::new("denied", out.meta().actor))
    });
    for (actor, expected) in [("user:me", "user:me"), ("", "user:terminal")] {
        let meta = dispatch_sdk::Meta { actor: actor.into(), ..Default::default() };
        let written = run(&cli.with_meta(meta), &["hi"], NO_TTY).await;
        assert_eq!(written.err, format!("error: {expected} (denied)\n"));
        assert_eq!(written.exit_code, 77);
    }
}

#[tokio::test]
async fn json_is_one_event_a_line_and_nothing_else_on_standard_output() {
    let cli = cli().await;
    let events = [
        json!({ "at": 1, "seq": 5, "type": "text_delta", "unknown": [1], "conversation_id": "c1",
                "data": { "text": "\u{9b}2J \u{7f} ä", "step_id": "s" } }),
        event("reasoning_delta", json!({ "step_id": "s", "text": "thought" })),
        event("error", json!({ "code": "auth", "class": "auth", "message": "no key" })),
        ended("failed", "auth"),
    ];
    let sent: Vec<String> = events.iter().map(Value::to_string).collect();
    shows_bytes(&cli, sent.clone());
    let written = run(&cli, &["--json", "hi"], ALL_TTY).await;
    let out = sent.join("\n").replace('\u{9b}', "\\u009b").replace('\u{7f}', "\\u007f") + "\n";
    assert_eq!(written, Written { out, err: "error: no key (auth)\n".into(), exit_code: 77 });
}

#[tokio::test]
async fn a_command_that_is_not_here_is_refused() {
    let cli = cli().await;
    let params = dispatch_sdk::contracts::command::MainParams { argv: vec![], tty: NO_TTY, cwd: "/".into() };
    let refused = cli.call_named(dispatch_sdk::contracts::command::Main, "walk", &params).await;
    assert!(refused.is_err_and(|fault| fault.is("unknown_verb")));
}

#[tokio::test]
async fn a_note_and_live_output_hide_nothing() {
    let cli = cli().await;
    let call = json!({ "step_id": "t1#1", "tool_call_id": "1", "name": "shell",
                       "args": { "command": "rm\u{200b} -rf\u{ad} x\ry" } });
    let output = json!({ "tool_call_id": "1", "stream": "stdout", "text": "done\u{e0041}\u{feff}\n" });
    let result = json!({ "step_id": "t1#1", "tool_call_id": "1", "name": "shell", "status": "error",
                         "content": "no\u{2060}pe", "duration_ms": 1 });
    let events = vec![
        event("tool_call", call),
        event("tool_output", output),
        event("tool_result", result),
        ended("completed", "stop"),
    ];
    shows(&cli, events);
    let err = run(&cli, &["hi"], NO_TTY).await.err;
    for shown in ["command=rm<U+200B> -rf<U+00AD> x␍y", "│ done<U+E0041><U+FEFF>", "no<U+2060>pe"] {
        assert!(err.contains(shown), "{err}");
    }
}
