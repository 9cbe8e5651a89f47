//! The provider on a fake host: what it says, what it calls, and that it never claims to be a model.

use super::answer::{QUOTE_LINE_CHARS_MAX, QUOTE_LINES_MAX, RECALLED_MAX};
use super::{Demo, deltas};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::provider::{
    Finish, Models, ProviderSpec, Stream, StreamFrame, StreamParams, StreamReply, ToolOffer,
};
use dispatch_sdk::{Contributions, Fault};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

const WHO: &str = "I am the demo provider, not a language model.";

async fn open() -> Opened {
    FakeHost::new().open::<Demo>("provider-demo", json!({})).await.expect("nothing to configure")
}

fn offer(name: &str, input_schema: Value) -> ToolOffer {
    ToolOffer { name: name.into(), description: "d".into(), input_schema }
}

fn tools() -> Vec<ToolOffer> {
    let schema = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } } });
    vec![offer("read_file", schema("path")), offer("shell", schema("command"))]
}

fn params(messages: &[Message], tools: Vec<ToolOffer>) -> StreamParams {
    let raw = |message| serde_json::value::to_raw_value(message).expect("a message is JSON");
    StreamParams {
        model: String::new(),
        system: String::new(),
        messages: messages.iter().map(raw).collect(),
        tools,
        output_tokens_max: None,
        temperature: None,
    }
}

struct Said {
    text: String,
    n_deltas: usize,
    /// Id, name and arguments of each call.
    calls: Vec<(String, String, String)>,
    reply: Result<StreamReply, Fault>,
}

async fn ask(messages: &[Message], tools: Vec<ToolOffer>) -> Said {
    let opened = open().await;
    let (frames, reply) = opened.stream_named(Stream, "demo", &params(messages, tools)).finish().await;
    let mut said = Said { text: String::new(), n_deltas: 0, calls: Vec::new(), reply };
    for frame in frames {
        match frame {
            StreamFrame::TextDelta { text } => {
                said.text.push_str(&text);
                said.n_deltas += 1;
            }
            StreamFrame::ToolCall { tool_call_id, name, args_text, .. } => {
                said.calls.push((tool_call_id, name, args_text));
            }
            other @ (StreamFrame::ReasoningDelta { .. }
            | StreamFrame::ReasoningOpaque { .. }
            | StreamFrame::Unknown) => panic!("the demo does not say such things: {other:?}"),
        }
    }
    said
}

async fn ask_text(text: &str) -> Said {
    ask(&[Message::user(text)], tools()).await
}

fn finished(finish: Finish) -> Result<StreamReply, Fault> {
    Ok(StreamReply { finish, usage: None, model: "demo".into() })
}

fn result(content: &str, is_error: bool, status: ToolStatus) -> Message {
    let (tool_call_id, name, content) = ("demo_call_1".into(), "shell".into(), content.into());
    Message {
        role: Role::Tool,
        parts: vec![Part::ToolResult { tool_call_id, name, content, is_error, status, parts: vec![] }],
    }
}

async fn ask_after(result: Message) -> Said {
    let (tool_call_id, name) = ("demo_call_1".into(), "shell".into());
    let call = Part::ToolCall {
        tool_call_id,
        name,
        args: json!({ "command": "date" }),
        opaque: Value::Null,
        producer: String::new(),
    };
    let called = Message { role: Role::Assistant, parts: vec![call] };
    ask(&[Message::user("run `date`"), called, result], tools()).await
}

#[tokio::test]
async fn it_is_ready_and_never_chosen_by_itself() {
    let opened = open().await;
    let spec = ProviderSpec {
        name: "demo".into(),
        ready: true,
        reason: String::new(),
        default_model: "demo".into(),
        selectable: false,
        images: false,
    };
    let expected = Contributions { providers: vec![spec], ..Contributions::default() };
    assert_eq!(opened.started().contributes, expected);
    let models = opened.call_named(Models, "demo", &Empty {}).await.expect("a list").models;
    assert_eq!(models.into_iter().map(|model| model.id).collect::<Vec<_>>(), ["demo"]);
    let refused = FakeHost::new().open::<Demo>("provider-demo", json!({ "model": "x" })).await;
    assert_eq!(refused.map(|_| ()).expect_err("there is nothing to configure").code, "invalid");
}

#[tokio::test]
async fn requests_become_calls_of_the_offered_tools() {
    let cases = [
        ("read Cargo.toml", "read_file", json!({ "path": "Cargo.toml" })),
        ("run `echo \"hi\"`", "shell", json!({ "command": "echo \"hi\"" })),
        ("list the files in src", "shell", json!({ "command": "ls -la -- 'src'" })),
        ("list the folder `it's`", "shell", json!({ "command": "ls -la -- 'it'\\''s'" })),
        ("ls ~/a", "shell", json!({ "command": "ls -la -- ~/'a'" })),
    ];
    for (text, name, args) in cases {
        let said = ask_text(text).await;
        assert_eq!(said.calls, [("demo_call_1".into(), name.into(), args.to_string())], "{text}");
        assert_eq!(said.reply, finished(Finish::ToolCalls), "{text}");
        assert!(said.text.starts_with(WHO) && said.n_deltas > 3, "{}", said.text);
    }
}

#[tokio::test]
async fn the_argument_is_named_as_the_schema_names_it() {
    let cases = [
        (json!({ "file_path": { "type": "string" } }), json!({ "file_path": "a.txt" })),
        (json!({ "target": { "type": "string" }, "limit": {} }), json!({ "target": "a.txt" })),
    ];
    for (properties, args) in cases {
        let schema = json!({ "type": "object", "properties": properties, "required": ["target"] });
        let said = ask(&[Message::user("read a.txt")], vec![offer("read_file", schema)]).await;
        assert_eq!(said.calls, [("demo_call_1".into(), "read_file".into(), args.to_string())]);
    }
    let schema = json!({ "properties": { "cmd": { "type": "array", "items": { "type": "string" } } } });
    let said = ask(&[Message::user("run `a b`")], vec![offer("shell", schema)]).await;
    assert_eq!(said.calls[0].2, "{\"cmd\":[\"sh\",\"-c\",\"a b\"]}");
}

#[tokio::test]
async fn a_tool_that_is_not_offered_is_not_called() {
    let cases = [
        (vec![], "no tool at all"),
        (vec![offer("shell", json!({})), offer("todo", json!({}))], "`shell`, `todo`"),
    ];
    for (tools, offered) in cases {
        let said = ask(&[Message::user("read a.txt")], tools).await;
        let text = format!("{WHO} To read `a.txt` I need the tool `read_file`, but I was offered {offered}.");
        assert_eq!((said.text, said.calls, said.reply), (text, vec![], finished(Finish::Stop)));
    }
}

#[tokio::test]
async fn the_answer_quotes_what_the_tool_really_said() {
    let said = ask_after(result("one ``` two\nthree\n", false, ToolStatus::Ok)).await;
    let expected = "`shell` answered; these are its 2 lines (quoted by the demo, no model read it):\n\
        ````\none ``` two\nthree\n````";
    assert_eq!((said.text.as_str(), said.calls, said.reply), (expected, vec![], finished(Finish::Stop)));
    let long = format!("{}\n", "x".repeat(QUOTE_LINE_CHARS_MAX + 1)).repeat(QUOTE_LINES_MAX + 1);
    let said = ask_after(result(&long, false, ToolStatus::Ok)).await;
    let line = format!("{}…\n", "x".repeat(QUOTE_LINE_CHARS_MAX));
    let expected = format!(
        "`shell` answered; these are the first 10 of its 11 lines (quoted by the demo, no model read it):\n```\n{}```",
        line.repeat(QUOTE_LINES_MAX)
    );
    assert_eq!(said.text, expected);
}

#[tokio::test]
async fn a_tool_that_did_not_do_it_is_reported_so() {
    let cases = [
        (true, ToolStatus::Ok, "`shell` failed; it said"),
        (true, ToolStatus::Error, "`shell` failed; it said"),
        (true, ToolStatus::Denied, "`shell` was denied, so nothing ran; it said"),
        (true, ToolStatus::Cancelled, "`shell` was cancelled; it said"),
        (
            true,
            ToolStatus::OutcomeUnknown,
            "`shell` was interrupted, and nobody knows how far it came; it said",
        ),
    ];
    for (is_error, status, expected) in cases {
        let said = ask_after(result("because", is_error, status)).await;
        let expected = format!("{expected} (quoted by the demo, no model read it):\n```\nbecause\n```");
        assert_eq!((said.text, said.calls), (expected, vec![]), "{status:?}");
    }
    let said = ask_after(result(" \n", false, ToolStatus::Ok)).await;
    assert_eq!(said.text, "`shell` answered; it said nothing.");
}

#[tokio::test]
async fn what_was_said_before_is_remembered() {
    let said = ask_text("what did I ask before?").await;
    assert_eq!(said.text, format!("{WHO} This is the first thing you said in this conversation."));
    let mut messages: Vec<Message> =
        (0..RECALLED_MAX + 2).map(|n| Message::user(format!("thing\n{n}"))).collect();
    messages.insert(1, result("old", false, ToolStatus::Ok));
    messages.push(Message::user("what did I say?"));
    let said = ask(&messages, tools()).await;
    let lines: String = (2..RECALLED_MAX + 2).map(|n| format!("\n{}. thing {n}", n + 1)).collect();
    let expected = format!("{WHO} But I can read our conversation. Before this you said:{lines}");
    assert_eq!((said.text, said.calls), (expected, vec![]));
}

#[tokio::test]
async fn anything_else_is_answered_with_what_it_can_do_and_always_the_same() {
    let said = ask_text("what is the meaning of life?").await;
    assert!(
        said.text.starts_with(&format!("{WHO} You said: what is the meaning of life?\n\n")),
        "{}",
        said.text
    );
    assert!(said.text.contains("`read Cargo.toml` shows a file"), "{}", said.text);
    assert_eq!((said.calls.len(), said.reply), (0, finished(Finish::Stop)));
    assert_eq!(ask_text("what is the meaning of life?").await.text, said.text);
    let said = ask_text("run the tests").await;
    assert!(said.text.contains("you mean a command, but not which one"), "{}", said.text);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_bad_request() {
    let opened = open().await;
    let mut asked = params(&[Message::user("hi")], vec![]);
    asked.messages.push(serde_json::value::to_raw_value(&json!({ "role": "ghost" })).expect("JSON"));
    let fault = opened.stream_named(Stream, "demo", &asked).finish().await.1.expect_err("a ghost");
    assert_eq!((fault.code.as_str(), &fault.detail), ("bad_request", &json!({ "class": "bad_request" })));
    assert!(fault.message.starts_with("cannot read message 1 of the history: "), "{}", fault.message);
}

#[test]
fn deltas_together_are_the_text() {
    for text in ["", "one", " é  two\nthree four five \n", "a b c d e f g"] {
        assert_eq!(deltas(text).concat(), text);
    }
    assert_eq!(deltas("a b c d"), ["a b c ", "d"]);
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
