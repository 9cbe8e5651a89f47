//! What goes over the wire and comes back when all is well, or only odd.

use super::{LONG, open_for, params, stream, text};
use dispatch_sdk::Item;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::provider::{
    Finish, ModelInfo, Models, Stream, StreamFrame, StreamReply, ToolOffer, Usage,
};
use dispatch_testkit::fake_llm::{Action, Quirk, Script, ToolCall};
use serde_json::{Value, json};

fn call(id: &str, args: Value) -> Vec<Message> {
    let call = Part::ToolCall {
        tool_call_id: id.into(),
        name: "read".into(),
        args,
        opaque: Value::Null,
        producer: String::new(),
    };
    let (tool_call_id, name, content) = (id.into(), "read".into(), "contents".into());
    let status = ToolStatus::Ok;
    let result = Part::ToolResult { tool_call_id, name, content, is_error: false, status, parts: vec![] };
    vec![
        Message { role: Role::Assistant, parts: vec![call] },
        Message { role: Role::Tool, parts: vec![result] },
    ]
}

fn read_tool() -> ToolOffer {
    let input_schema = json!({ "type": "object", "properties": { "path": { "type": "string" } } });
    ToolOffer { name: "read".into(), description: "Reads.".into(), input_schema }
}

#[tokio::test]
async fn a_turn_with_a_tool_goes_through_a_strict_server() {
    let usage =
        serde_json::from_value(json!({ "prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 8 }));
    let asks = vec![
        Action::ReasoningContent(dispatch_testkit::fake_llm::Deltas::One("hm".into())),
        Action::text("let me look"),
        Action::tool_call("read", json!({ "path": "a.txt" })),
        Action::Usage(usage.expect("a usage")),
    ];
    let mut script = Script::steps(vec![asks, vec![Action::text("it says {{last_tool_result}}")]]);
    script.api_key = Some("sk-key".into());
    let config = json!({ "api_key": " sk-key\n", "headers": { "x-title": "tests" } });
    let (fake, opened) = open_for(script, config).await;

    let mut asked = params(&[Message::user("what does a.txt say?")]);
    asked.tools = vec![read_tool()];
    asked.output_tokens_max = Some(100);
    asked.temperature = Some(0.5);
    let (frames, reply) = stream(&opened, &asked).await;
    let Some(StreamFrame::ToolCall { tool_call_id, .. }) = frames.last().cloned() else {
        panic!("no call in {frames:?}");
    };
    let expected = [
        StreamFrame::ReasoningDelta { text: "hm".into() },
        text("let me look"),
        StreamFrame::ToolCall {
            tool_call_id: tool_call_id.clone(),
            name: "read".into(),
            opaque: Value::Null,
            args_text: "{\"path\":\"a.txt\"}".into(),
        },
    ];
    assert_eq!(frames, expected);
    let usage =
        Usage { input_tokens: 12, output_tokens: 3, cache_read_tokens: Some(8), cache_write_tokens: None };
    assert_eq!(reply, Ok(StreamReply { finish: Finish::ToolCalls, usage: Some(usage), model: "m-1".into() }));

    let mut history = vec![Message::user("what does a.txt say?")];
    history.extend(call(&tool_call_id, json!({ "path": "a.txt" })));
    let mut asked = params(&history);
    asked.tools = vec![read_tool()];
    let (frames, reply) = stream(&opened, &asked).await;
    assert_eq!((frames, reply.map(|reply| reply.finish)), (vec![text("it says contents")], Ok(Finish::Stop)));

    let requests = fake.requests();
    assert_eq!(requests[0].header("authorization"), Some("Bearer sk-key"));
    assert_eq!(requests[0].header("x-title"), Some("tests"));
    let tool = json!({ "type": "function", "function": {
        "name": "read", "description": "Reads.", "parameters": read_tool().input_schema,
    } });
    let expected = json!({
        "model": "m-1", "stream": true, "stream_options": { "include_usage": true },
        "max_tokens": 100, "temperature": 0.5, "tools": [tool],
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": "what does a.txt say?" },
        ],
    });
    assert_eq!(requests[0].body, expected);
    assert_eq!(requests[1].messages()[..2], *requests[0].messages());
}

#[tokio::test]
async fn the_fields_that_strict_servers_refuse_can_be_switched_off() {
    let mut script = Script::steps(vec![vec![Action::text("a")]]);
    script.refuses_fields = vec!["stream_options".into(), "max_tokens".into()];
    let config = json!({ "send_usage_option": false, "output_tokens_field": "max_completion_tokens" });
    let (fake, opened) = open_for(script, config).await;
    let mut asked = params(&[Message::user("hi")]);
    asked.output_tokens_max = Some(7);
    asked.model = "m-2".into();
    let (frames, reply) = stream(&opened, &asked).await;
    let expected = StreamReply { finish: Finish::Stop, usage: None, model: "m-2".into() };
    assert_eq!((frames, reply), (vec![text("a")], Ok(expected)));
    let body = &fake.requests()[0].body;
    assert_eq!((&body["max_completion_tokens"], &body["model"]), (&json!(7), &json!("m-2")));
}

#[tokio::test]
async fn a_call_is_whole_however_the_server_tells_it() {
    let quirks = [
        vec![],
        vec![Quirk::MissingIndex],
        vec![Quirk::MissingId],
        vec![Quirk::MissingIndex, Quirk::MissingId],
        vec![Quirk::MissingIndex, Quirk::RepeatedId, Quirk::RepeatedName],
        vec![Quirk::BlankName],
        vec![Quirk::RepeatedName, Quirk::MissingId, Quirk::MissingIndex],
        vec![Quirk::Whole],
        vec![Quirk::ObjectArguments, Quirk::MissingId],
    ];
    let call = |quirks: &Vec<Quirk>| {
        let (name, arguments) = ("read".to_owned(), json!({ "path": "é/{}" }));
        Action::ToolCall(ToolCall {
            name,
            arguments,
            deltas: 5,
            quirks: quirks.clone(),
            ..ToolCall::default()
        })
    };
    let answers = quirks.iter().map(|quirks| vec![call(quirks), Action::NoDone]).collect();
    let (_fake, opened) = open_for(Script::steps(answers), json!({})).await;
    let mut asked = params(&[Message::user("hi")]);
    asked.tools = vec![read_tool()];
    for quirks in quirks {
        let (frames, reply) = stream(&opened, &asked).await;
        assert_eq!(reply.map(|reply| reply.finish), Ok(Finish::ToolCalls), "{quirks:?}");
        let [StreamFrame::ToolCall { tool_call_id, name, args_text, opaque: Value::Null }] =
            frames.as_slice()
        else {
            panic!("{quirks:?} gave {frames:?}");
        };
        assert_eq!((name.as_str(), args_text.as_str()), ("read", "{\"path\":\"é/{}\"}"), "{quirks:?}");
        assert!(!tool_call_id.is_empty(), "{quirks:?}");
    }
}

#[tokio::test]
async fn a_long_call_shows_that_the_model_still_works() {
    let fragment = |function: Value| {
        let entry = json!({ "index": 0, "id": "c", "function": function });
        vec![Action::Chunk(json!({ "tool_calls": [entry] })), Action::WaitMs(40)]
    };
    let mut answer = fragment(json!({ "name": "read", "arguments": "{\"path\":\"" }));
    answer.extend((0..20).flat_map(|_| fragment(json!({ "arguments": "a" }))));
    answer.extend(fragment(json!({ "arguments": "\"}" })));
    let (_fake, opened) = open_for(Script::steps(vec![answer]), json!({ "idle_timeout_ms": 500 })).await;
    let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    let args_text = format!("{{\"path\":\"{}\"}}", "a".repeat(20));
    let call = StreamFrame::ToolCall {
        tool_call_id: "c".into(),
        name: "read".into(),
        args_text,
        opaque: Value::Null,
    };
    assert_eq!((frames, reply.map(|reply| reply.finish)), (vec![text(""), call], Ok(Finish::ToolCalls)));
}

#[tokio::test]
async fn a_model_that_thinks_long_before_its_first_token_shows_that_the_request_lives() {
    // Before the headers, before the first event, and between comments: the limit of silence counts from the request on.
    let comments = (0..12).flat_map(|_| [Action::Garbage(vec![": alive".into()]), Action::WaitMs(50)]);
    let answers = vec![
        vec![Action::WaitMs(600), Action::text("a")],
        vec![Action::Headers, Action::WaitMs(600), Action::text("a")],
        comments.chain([Action::text("a")]).collect(),
    ];
    let n_answers = answers.len();
    let (_fake, opened) = open_for(Script::steps(answers), json!({ "idle_timeout_ms": 1_500 })).await;
    for _ in 0..n_answers {
        let mut stream = opened.stream_named(Stream, "openai-compat", &params(&[Message::user("hi")]));
        let mut frames = Vec::new();
        let reply = loop {
            match stream.next().await.expect("a good answer") {
                Item::Frame(frame) => frames.push(frame),
                Item::End(reply) => break reply,
            }
        };
        assert_eq!((frames.pop(), reply.finish), (Some(text("a")), Finish::Stop));
        assert!(!frames.is_empty() && frames.iter().all(|frame| *frame == text("")), "{frames:?}");
    }
}

#[tokio::test]
async fn comments_of_the_server_put_the_limit_of_silence_off() {
    // Three times as long as the limit.
    let comments = (0..60).flat_map(|_| [Action::Garbage(vec![": keepalive".into()]), Action::WaitMs(50)]);
    let answer: Vec<Action> = comments.chain([Action::text("a")]).collect();
    let (_fake, opened) = open_for(Script::steps(vec![answer]), json!({ "idle_timeout_ms": 1_000 })).await;
    let (mut frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    assert_eq!((frames.pop(), reply.map(|reply| reply.finish)), (Some(text("a")), Ok(Finish::Stop)));
}

#[tokio::test]
async fn a_body_that_comes_in_single_bytes_means_the_same() {
    let pace = Action::Pace(serde_json::from_value(json!({ "bytes": 1 })).expect("a pace"));
    let (_fake, opened) = open_for(Script::steps(vec![vec![pace, Action::text("hé€😀")]]), json!({})).await;
    let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    assert_eq!((frames, reply.map(|reply| reply.finish)), (vec![text("hé€😀")], Ok(Finish::Stop)));
}

#[tokio::test]
async fn a_server_that_never_ends_after_its_finish_reason_does_not_hold_the_turn() {
    let answer = vec![Action::text("a"), Action::Finish("stop".into()), Action::Stall];
    let (fake, opened) = open_for(Script::steps(vec![answer]), json!({ "idle_timeout_ms": 100_000 })).await;
    let asked = params(&[Message::user("hi")]);
    let (frames, reply) = tokio::time::timeout(LONG, stream(&opened, &asked)).await.expect("a prompt end");
    assert_eq!((frames, reply.map(|reply| reply.finish)), (vec![text("a")], Ok(Finish::Stop)));
    fake.await_no_connections(LONG).await;
}

#[tokio::test]
async fn a_flood_of_deltas_becomes_fewer_frames_and_loses_nothing() {
    const N_DELTAS: usize = 20_000;
    let (_fake, opened) =
        open_for(Script::steps(vec![vec![Action::text_deltas(N_DELTAS, 0)]]), json!({})).await;
    let mut stream = opened.stream_named(Stream, "openai-compat", &params(&[Message::user("hi")]));
    let (mut all, mut n_frames) = (String::new(), 0);
    let reply = loop {
        match stream.next().await.expect("a good answer") {
            Item::Frame(StreamFrame::TextDelta { text }) => {
                all.push_str(&text);
                n_frames += 1;
            }
            Item::Frame(other) => panic!("unexpected {other:?}"),
            Item::End(reply) => break reply,
        }
    };
    let expected: String = (0..N_DELTAS).map(|n| format!("w{n} ")).collect();
    assert_eq!((all, reply.finish), (expected, Finish::Stop));
    assert!(n_frames <= N_DELTAS / 16, "{n_frames} frames");
}

#[tokio::test]
async fn a_socket_is_used_again() {
    let answers = vec![vec![Action::text("a")]; 3];
    let (fake, opened) = open_for(Script::steps(answers), json!({})).await;
    for _ in 0..3 {
        stream(&opened, &params(&[Message::user("hi")])).await.1.expect("a good answer");
        fake.await_no_answers(LONG).await;
    }
    assert_eq!((fake.n_requests(), fake.open_connections()), (3, 1));
}

#[tokio::test]
async fn models_are_listed() {
    let script = Script { models: vec!["a".into(), "b".into()], ..Script::default() };
    let (_fake, opened) = open_for(script, json!({})).await;
    let models = opened.call_named(Models, "openai-compat", &Empty {}).await.expect("a list").models;
    let ids: Vec<String> = models.into_iter().map(|ModelInfo { id, .. }| id).collect();
    assert_eq!(ids, ["a", "b"]);
}
