//! What the tests call the command with, and what comes out of it.

use crate::Cli;
use dispatch_sdk::Item;
use dispatch_sdk::contracts::command::{Main, MainParams, Tty};
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_testkit::{FakeHost, FakeOut, Opened, OpenedStream};
use serde_json::{Value, json};

/// Where the command is called: a directory that is there.
pub(super) const HERE: &str = "/";
pub(super) const NO_TTY: Tty =
    Tty { stdin: false, stdout: false, stderr: false, color: false, rewrites: false };
/// Terminals that take lines as they come, such as `TERM=dumb`.
pub(super) const ALL_TTY: Tty = Tty { stdin: true, stdout: true, stderr: true, ..NO_TTY };

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Written {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) exit_code: u8,
}

pub(super) async fn cli() -> Opened {
    let host = FakeHost::new();
    host.grant_identity("cli");
    host.on("command_host.v1/read", |_| Ok(json!({ "eof": true, "text": "" })));
    host.on("op.v1/run#turns.start", |_| {
        Ok(json!({ "conversation_id": "c1", "turn_id": "t1", "cursor": 4, "durable": true }))
    });
    host.open::<Cli>("cli", json!({})).await.expect("it opens")
}

/// The turn shows these events, then waits to be left.
pub(super) fn shows(cli: &Opened, events: Vec<Value>) {
    let events = events.into_iter().map(|event| event.to_string()).collect();
    shows_bytes(cli, events);
}

/// The same with the bytes as they are sent. The double re-encodes JSON; what matters is inside of strings.
pub(super) fn shows_bytes(cli: &Opened, events: Vec<String>) {
    cli.host().on_stream("op.v1/run#turns.watch", move |_, out| {
        let events = events.clone();
        async move {
            emit_all(&out, &events).await?;
            Ok(json!({ "cursor": 9 }))
        }
    });
}

async fn emit_all(out: &FakeOut, events: &[String]) -> Result<(), dispatch_sdk::Fault> {
    for event in events {
        out.emit(serde_json::from_str(event).expect("an event")).await?;
    }
    Ok(())
}

pub(super) fn event(kind: &str, data: Value) -> Value {
    json!({ "seq": 5, "conversation_id": "c1", "turn_id": "t1", "at": 1, "type": kind, "data": data })
}

pub(super) fn text(text: &str) -> Value {
    event("text_delta", json!({ "step_id": "t1#1", "text": text }))
}

pub(super) fn ended(status: &str, reason: &str) -> Value {
    event("turn_ended", json!({ "status": status, "reason": reason }))
}

/// `read` answers these texts, one after another, then nothing.
pub(super) fn types(cli: &Opened, texts: &[&str]) {
    let texts = std::sync::Mutex::new(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    cli.host().on("command_host.v1/read", move |_| {
        let mut texts = texts.lock().unwrap();
        let text = if texts.is_empty() { String::new() } else { texts.remove(0) };
        Ok(json!({ "eof": texts.is_empty(), "text": text }))
    });
}

pub(super) fn begin(cli: &Opened, argv: &[&str], tty: Tty) -> OpenedStream<Main> {
    begin_command(cli, "run", argv, tty)
}

pub(super) fn begin_command(cli: &Opened, name: &str, argv: &[&str], tty: Tty) -> OpenedStream<Main> {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    cli.stream_named(Main, name, &MainParams { argv, tty, cwd: HERE.into() })
}

pub(super) async fn read_to_end(mut stream: OpenedStream<Main>) -> Written {
    let mut written = Written::default();
    loop {
        match stream.next().await.expect("the command always answers") {
            Item::Frame(frame) => match frame.stream {
                OutputStream::Stdout => written.out.push_str(&frame.text),
                OutputStream::Stderr => written.err.push_str(&frame.text),
            },
            Item::End(reply) => {
                written.exit_code = reply.exit_code;
                return written;
            }
        }
    }
}

pub(super) async fn run(cli: &Opened, argv: &[&str], tty: Tty) -> Written {
    read_to_end(begin(cli, argv, tty)).await
}
