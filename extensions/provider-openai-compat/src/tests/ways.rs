//! Histories that an endpoint refuses as they are written, and takes in another way.

use super::raw_server::{RawServer, answer, good_stream};
use super::{open, params, read_fault, stream, text};
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_testkit::Opened;
use serde_json::{Value, json};

fn refusal(said: &str) -> String {
    answer(
        "400 Bad Request\r\ncontent-type: application/json",
        &json!({ "error": { "message": said } }).to_string(),
    )
}

async fn open_at(server: &RawServer, more: Value) -> Opened {
    let mut config = json!({ "base_url": format!("http://{}/v1", server.address), "model": "m" });
    for (key, value) in more.as_object().expect("keys and values") {
        config[key] = value.clone();
    }
    open(config).await
}

/// A step that thought and called a tool, in a turn that is over or still runs.
fn history(is_over: bool) -> Vec<Message> {
    let (opaque, producer) = (Value::Null, "openai-compat/m".to_owned());
    let thought = Part::Reasoning { text: "look first".into(), opaque, producer };
    let call = Part::ToolCall {
        tool_call_id: "call_1".into(),
        name: "t".into(),
        args: json!({}),
        opaque: Value::Null,
        producer: String::new(),
    };
    let (tool_call_id, name, content) = ("call_1".into(), "t".into(), "r".into());
    let result = Part::ToolResult {
        tool_call_id,
        name,
        content,
        is_error: false,
        status: ToolStatus::Ok,
        parts: vec![],
    };
    let mut history = vec![
        Message::user("hi"),
        Message { role: Role::Assistant, parts: vec![thought, call] },
        Message { role: Role::Tool, parts: vec![result] },
    ];
    history.extend(is_over.then(|| Message::user("go on")));
    history
}

/// The messages of request n.
fn messages(server: &RawServer, n: usize) -> Value {
    let requests = server.requests();
    let body = requests[n].split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str::<Value>(body).expect("JSON")["messages"].clone()
}

fn thinking_stream(field: &str) -> String {
    let delta = json!({ "choices": [{ "delta": { field: "hm", "content": "a" }, "finish_reason": "stop" }] });
    answer("200 OK\r\ncontent-type: text/event-stream", &format!("data: {delta}\n\ndata: [DONE]\n\n"))
}

#[tokio::test]
async fn ids_that_an_endpoint_refuses_are_written_in_the_strictest_form_from_then_on() {
    let strict = "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.";
    let server = RawServer::start(vec![refusal(strict), good_stream()]).await;
    let opened = open_at(&server, json!({})).await;
    for _ in 0..2 {
        let (frames, reply) = stream(&opened, &params(&history(true))).await;
        assert!(frames == [text("a")] && reply.is_ok(), "{reply:?}");
    }
    let ids: Vec<Value> = (0..3).map(|n| messages(&server, n)[2]["tool_calls"][0]["id"].clone()).collect();
    assert_eq!(ids[0], "call_1");
    assert!(ids[1] == ids[2] && crate::ids::is_nine(ids[1].as_str().expect("a text")), "{ids:?}");
    assert_eq!(messages(&server, 1)[3]["tool_call_id"], ids[1]);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn reasoning_of_the_running_turn_goes_back_to_a_model_that_sends_it_in_that_field() {
    for (field, sent) in [("reasoning_content", json!("look first")), ("reasoning", Value::Null)] {
        let server = RawServer::start(vec![thinking_stream(field)]).await;
        let opened = open_at(&server, json!({})).await;
        stream(&opened, &params(&[Message::user("hi")])).await.1.expect("an answer");
        stream(&opened, &params(&history(false))).await.1.expect("an answer");
        assert_eq!(messages(&server, 1)[2]["reasoning_content"], sent, "{field}");
        stream(&opened, &params(&history(true))).await.1.expect("an answer");
        assert_eq!(messages(&server, 2)[2]["reasoning_content"], Value::Null, "of a turn that is over");
    }
}

#[tokio::test]
async fn a_history_that_is_refused_for_want_of_reasoning_goes_again_with_it() {
    let said =
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2";
    let server = RawServer::start(vec![refusal(said), good_stream()]).await;
    let opened = open_at(&server, json!({})).await;
    stream(&opened, &params(&history(true))).await.1.expect("the second request is taken");
    assert_eq!(messages(&server, 0)[2]["reasoning_content"], Value::Null);
    assert_eq!(messages(&server, 1)[2]["reasoning_content"], "look first");
}

#[tokio::test]
async fn where_no_other_way_is_open_the_key_is_named() {
    let said = "reasoning_content is missing";
    let cases = [
        // Both ways were tried.
        (json!({}), history(true), 3),
        // There is nothing to send.
        (json!({}), vec![Message::user("hi")], 1),
        // The build has decided.
        (json!({ "send_reasoning": false }), history(true), 1),
        (json!({ "send_reasoning": true }), history(true), 1),
    ];
    for (config, history, n_requests) in cases {
        let server = RawServer::start(vec![refusal(said)]).await;
        let opened = open_at(&server, config.clone()).await;
        let (fault, detail) = read_fault(stream(&opened, &params(&history)).await.1);
        assert_eq!((detail.class, server.requests().len()), (FaultClass::BadRequest, n_requests), "{config}");
        assert!(fault.message.contains("`send_reasoning` of `provider-openai-compat`"), "{}", fault.message);
    }
}
