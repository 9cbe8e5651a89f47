//! What a script says is what comes over the socket.

use serde_json::{Value, json};

use super::super::{Action, Deltas, FakeLlm, Quirk, Script, ToolCall, Usage, UsagePlace};
use super::client::{Client, End};
use super::{ask, deltas, stream, text};

fn without_created(mut chunk: Value) -> Value {
    assert!(chunk["created"].is_u64());
    chunk["created"] = json!(0);
    chunk
}

#[test]
fn a_stream_is_role_then_deltas_then_finish_then_done() {
    let response = stream(vec![Action::Text(Deltas::Many(vec!["Hel".into(), "lo \"ä\"".into()]))]);
    assert_eq!((response.status, &response.end), (200, &End::Whole));
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("text/event-stream; charset=utf-8"));
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-fake-0", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let chunks: Vec<Value> = response.chunks().into_iter().map(without_created).collect();
    assert_eq!(
        chunks,
        [
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
            chunk(json!({"content": "Hel"}), Value::Null),
            chunk(json!({"content": "lo \"ä\""}), Value::Null),
            chunk(json!({}), json!("stop")),
        ]
    );
    assert_eq!(response.data().last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn a_plain_answer_holds_what_a_stream_would_tell() {
    let fake = FakeLlm::start(Script::steps(vec![vec![
        Action::Reasoning(Deltas::One("hm".into())),
        Action::Text(Deltas::Many(vec!["a".into(), "b".into()])),
        Action::tool_call("read", json!({"path": "x"})),
    ]]));
    let mut body = ask("m", "hello");
    body["stream"] = json!(false);
    let response = Client::connect(&fake).post(&body);
    let function = json!({"name": "read", "arguments": "{\"path\":\"x\"}"});
    assert_eq!(
        without_created(response.json()),
        json!({
            "id": "chatcmpl-fake-0", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "ab", "reasoning": "hm",
                "tool_calls": [{"id": "call_0_0", "type": "function", "function": function}],
            }}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6},
        })
    );
}

#[test]
fn usage_comes_where_the_script_says() {
    let usage = |place| {
        vec![
            Action::text("a"),
            Action::Usage(Usage {
                place,
                prompt_tokens: Some(7),
                completion_tokens: Some(3),
                cached_tokens: Some(5),
                reasoning_tokens: Some(1),
            }),
        ]
    };
    let told = json!({
        "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 1},
    });
    let last = |place| stream(usage(place)).chunks().pop().unwrap();
    let final_chunk = last(UsagePlace::FinalChunk);
    assert_eq!((&final_chunk["choices"], &final_chunk["usage"]), (&json!([]), &told));
    let choice = last(UsagePlace::Choice);
    assert_eq!(choice["choices"][0]["finish_reason"], "stop");
    assert_eq!(choice["choices"][0]["usage"], told);
    assert!(!stream(usage(UsagePlace::None)).body_text().contains("usage"));
}

#[test]
fn usage_is_told_unasked_only_in_plain_answers() {
    let fake = FakeLlm::start(Script::default());
    let mut body = ask("fake-text-3", "hello");
    let silent = Client::connect(&fake).post(&body);
    assert!(!silent.body_text().contains("usage"));
    body["stream_options"] = json!({"include_usage": true});
    let chunks = Client::connect(&fake).post(&body).chunks();
    let told = json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5});
    assert_eq!(chunks.last().unwrap()["usage"], told);
    assert_eq!(chunks[1].get("usage"), Some(&Value::Null));
}

fn call_deltas(call: ToolCall) -> Vec<Value> {
    let response = stream(vec![Action::ToolCall(ToolCall {
        id: Some("c1".into()),
        name: "read".into(),
        arguments: json!({"p": "äö"}),
        ..call
    })]);
    let finish = response.chunks().pop().unwrap();
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    let deltas = deltas(&response);
    deltas.iter().map(|delta| delta["tool_calls"][0].clone()).collect()
}

fn quirky(quirk: Quirk) -> Vec<Value> {
    call_deltas(ToolCall { quirks: vec![quirk], ..ToolCall::default() })
}

#[test]
fn a_tool_call_opens_with_its_name_and_goes_on_in_fragments() {
    let call = call_deltas(ToolCall { deltas: 3, ..ToolCall::default() });
    let fragment = |text: &str| json!({"index": 0, "function": {"arguments": text}});
    let opening = json!({"name": "read", "arguments": ""});
    assert_eq!(
        call,
        [
            json!({"index": 0, "id": "c1", "type": "function", "function": opening}),
            fragment("{\"p"),
            fragment("\":\""),
            fragment("äö\"}"),
        ]
    );
}

#[test]
fn every_quirk_changes_the_deltas_as_it_says() {
    let arguments = "{\"p\":\"äö\"}";
    let pair = |first: Value, second: Value| vec![first, second];
    let first =
        json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}});
    let first_with = |key: &str| {
        let mut first = first.clone();
        first.as_object_mut().unwrap().remove(key);
        first
    };
    let rest = json!({"index": 0, "function": {"arguments": arguments}});
    let no_index = json!({"function": {"arguments": arguments}});
    let named = |name: &str| json!({"index": 0, "function": {"name": name, "arguments": arguments}});
    let whole = |arguments: Value| {
        let function = json!({"name": "read", "arguments": arguments});
        vec![json!({"index": 0, "id": "c1", "type": "function", "function": function})]
    };
    assert_eq!(quirky(Quirk::MissingIndex), pair(first_with("index"), no_index));
    assert_eq!(quirky(Quirk::MissingId), pair(first_with("id"), rest.clone()));
    assert_eq!(quirky(Quirk::RepeatedName), pair(first.clone(), named("read")));
    assert_eq!(quirky(Quirk::BlankName), pair(first.clone(), named("")));
    let mut again = rest;
    again["id"] = json!("c1");
    assert_eq!(quirky(Quirk::RepeatedId), pair(first, again));
    assert_eq!(quirky(Quirk::Whole), whole(json!(arguments)));
    assert_eq!(quirky(Quirk::ObjectArguments), whole(json!({"p": "äö"})));
}

#[test]
fn raw_arguments_are_sent_though_they_are_not_json() {
    let response = stream(vec![Action::ToolCall(ToolCall {
        name: "read".into(),
        arguments_raw: Some("{\"a\":{\"b\":{{last_user}}, {{".into()),
        ..ToolCall::default()
    })]);
    let deltas = deltas(&response);
    let sent = &deltas[1]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(sent, "{\"a\":{\"b\":hello, {{");
}

#[test]
fn stamps_rise_and_stand_on_the_servers_clock() {
    let fake = FakeLlm::start(Script::default());
    let before_ns = fake.now_ns();
    let response = Client::connect(&fake).post(&ask("fake-text-50-delay-1-stamp", "x"));
    let text = text(&response);
    let stamps: Vec<u64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(stamps.len(), 50);
    assert!(stamps.is_sorted() && stamps[0] >= before_ns && stamps[49] <= fake.now_ns());
    assert!(stamps[49] - stamps[0] >= 49_000_000, "49 waits of 1 ms");
}

#[test]
fn the_models_are_listed() {
    let ids = |fake: &FakeLlm| {
        let list = Client::connect(fake).get("/v1/models").json();
        let entries = list["data"].as_array().unwrap().clone();
        let ids = entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let built_in = ids(&FakeLlm::start(Script::default()));
    assert_eq!(built_in, super::super::model_name::LISTED);
    let scripted = FakeLlm::start(Script { models: vec!["m".into()], ..Script::default() });
    assert_eq!(ids(&scripted), ["m"]);
}

#[test]
fn built_in_models_do_what_their_names_say() {
    let fake = FakeLlm::start(Script::default());
    let text_of = |model: &str| text(&Client::connect(&fake).post(&ask(model, "hey")));
    assert_eq!(text_of("local"), "this is no model, it only speaks the wire; you said: hey");
    assert_eq!(text_of("fake-text-3"), "w0 w1 w2 ");
    assert_eq!(text_of("fake-echo"), "hey");
    assert_eq!(text_of("fake-reasoning-2"), "done");
    assert_eq!(text_of("fake-tool"), "no tool was offered");
    let cut = Client::connect(&fake).post(&ask("fake-text-20-cut-300", "hey"));
    assert_eq!((cut.body().len(), cut.end), (300, End::Closed));
    let status_of = |model: &str| Client::connect(&fake).post(&ask(model, "hey")).status;
    assert_eq!(status_of("fake-status-503"), 503);
    for unknown in ["gpt", "fake-text", "fake-text-x", "fake-text-1-delay", "fake-status-200"] {
        assert_eq!(status_of(unknown), 404, "{unknown}");
    }
}
