//! Whole streams as servers were seen to send them, and what each means however it is cut.

use super::{body, call, calls, delta, finish, made, read, text};
use dispatch_sdk::contracts::provider::{Finish, StreamFrame, StreamReply, Usage};
use serde_json::{Value, json};

struct Case {
    name: &'static str,
    chunks: Vec<Value>,
    frames: Vec<StreamFrame>,
    finish: Finish,
}

fn case(name: &'static str, chunks: Vec<Value>, frames: Vec<StreamFrame>, finish: Finish) -> Case {
    Case { name, chunks, frames, finish }
}

fn reasoning(text: &str) -> StreamFrame {
    StreamFrame::ReasoningDelta { text: text.into() }
}

fn texts() -> Vec<Case> {
    vec![
        case(
            "the reference",
            vec![
                delta(json!({ "role": "assistant", "content": "" })),
                delta(json!({ "content": "hé" })),
                delta(json!({ "content": "l€😀" })),
                finish("stop"),
                json!("[DONE]"),
            ],
            vec![text("hél€😀")],
            Finish::Stop,
        ),
        case(
            "no finish reason",
            vec![delta(json!({ "content": "a", "finish_reason": "" })), json!("[DONE]")],
            vec![text("a")],
            Finish::Stop,
        ),
        case(
            "no end mark",
            vec![delta(json!({ "content": "a" })), finish("stop")],
            vec![text("a")],
            Finish::Stop,
        ),
        case(
            "reasoning in both fields, then content as parts",
            vec![
                delta(json!({ "reasoning_content": "hm", "reasoning": "hm", "content": null })),
                delta(json!({ "reasoning": "!" })),
                delta(json!({ "content": [
                    { "type": "thinking", "thinking": [{ "type": "text", "text": "?" }] },
                    { "type": "text", "text": "a" },
                ] })),
                finish("stop"),
            ],
            vec![reasoning("hm!?"), text("a")],
            Finish::Stop,
        ),
        case(
            "a whole message, a refusal and a second choice",
            vec![json!({ "choices": [
                { "index": 1, "message": { "content": "other" } },
                { "message": { "content": "a", "refusal": "b" }, "finish_reason": "length" },
            ] })],
            vec![text("ab")],
            Finish::Length,
        ),
        case(
            "several chunks without a blank line",
            vec![json!(format!(
                "{}\ndata: {}\ndata: [DONE]",
                delta(json!({ "content": "a" })),
                finish("stop")
            ))],
            vec![text("a")],
            Finish::Stop,
        ),
    ]
}

fn thoughts() -> Vec<Case> {
    let text_of = |content: &str| delta(json!({ "content": content }));
    vec![
        case(
            "reasoning between tags that are cut",
            vec![
                text_of("<thi"),
                text_of("nk>I should greet.</think>"),
                text_of("\n\nHello!"),
                finish("stop"),
            ],
            vec![reasoning("I should greet."), text("Hello!")],
            Finish::Stop,
        ),
        case(
            "a tag that was none",
            vec![text_of(" <thi"), finish("stop")],
            vec![text(" <thi")],
            Finish::Stop,
        ),
    ]
}

fn tool_calls() -> Vec<Case> {
    let both = vec![call("a", "read", "{\"p\":1}"), call("b", "list", "")];
    let entry = |fields: Value| calls(json!([fields]));
    let whole = |id: &str, name: &str, args: Value| json!({ "id": id, "function": { "name": name, "arguments": args } });
    let end = Finish::ToolCalls;
    vec![
        case(
            "fragments, interleaved and out of order",
            vec![
                entry(json!({ "index": 1, "id": "b", "function": { "name": "list", "arguments": "" } })),
                entry(json!({ "index": 0, "id": "a", "function": { "name": "read" } })),
                entry(json!({ "index": 0, "function": { "arguments": "{\"p\"" } })),
                entry(json!({ "index": 1, "function": { "arguments": "" } })),
                entry(json!({ "index": 0, "function": { "arguments": ":1}" } })),
                finish("tool_calls"),
                json!("[DONE]"),
            ],
            both.clone(),
            end,
        ),
        case(
            "no index, blank name in later fragments",
            vec![
                entry(json!({ "id": "a", "function": { "name": "read", "arguments": "{\"p\"" } })),
                entry(json!({ "id": "", "function": { "name": "", "arguments": ":1}" } })),
                entry(json!({ "id": "b", "function": { "name": "list", "arguments": null } })),
                finish("stop"),
            ],
            both.clone(),
            end,
        ),
        case(
            "no index, id and name in every fragment",
            vec![
                entry(json!({ "id": "a", "function": { "name": "read", "arguments": "{\"p\"" } })),
                entry(json!({ "id": "a", "function": { "name": "read", "arguments": ":1}" } })),
                entry(json!({ "id": "b", "function": { "name": "list", "arguments": "" } })),
                finish("tool_calls"),
            ],
            both.clone(),
            end,
        ),
        case(
            "whole calls that all have index 0",
            vec![
                entry(
                    json!({ "index": 0, "id": "a", "function": { "name": "read", "arguments": { "p": 1 } } }),
                ),
                entry(json!({ "index": 0, "id": "b", "function": { "name": "list", "arguments": "" } })),
                finish("tool_calls"),
            ],
            both.clone(),
            end,
        ),
        case(
            "whole calls in one delta without index",
            vec![
                calls(json!([whole("a", "read", json!({ "p": 1 })), whole("b", "list", json!(""))])),
                json!("[DONE]"),
            ],
            both,
            end,
        ),
        case(
            "neither index nor id, the same tool twice",
            vec![
                calls(json!([whole("", "t", json!("{}")), whole("", "t", json!("{}"))])),
                entry(whole("", "t", json!("{\"x\":"))),
                entry(json!({ "function": { "name": "", "arguments": "2}" } })),
                finish("tool_calls"),
            ],
            vec![call(&made(0), "t", "{}"), call(&made(1), "t", "{}"), call(&made(2), "t", "{\"x\":2}")],
            end,
        ),
        case(
            "one object instead of a list, and malformed arguments kept as written",
            vec![
                calls(json!({ "index": 0, "id": "a", "function": { "name": "t", "arguments": "{oops" } })),
                calls(json!([{}])),
                finish("tool_calls"),
            ],
            vec![call("a", "t", "{oops")],
            end,
        ),
        case(
            "a name that is the word null in later fragments",
            vec![
                entry(json!({ "index": 0, "id": "a", "function": { "name": "t", "arguments": "{\"p\"" } })),
                entry(json!({ "index": 0, "id": "", "function": { "name": "null", "arguments": ":1}" } })),
                entry(json!({ "index": 0, "id": "", "function": { "name": "null", "arguments": "" } })),
                finish("tool_calls"),
            ],
            vec![call("a", "t", "{\"p\":1}")],
            end,
        ),
        case(
            "another name while the arguments are not whole",
            vec![
                entry(json!({ "index": 0, "id": "a", "function": { "name": "t", "arguments": "{\"p\"" } })),
                entry(json!({ "index": 0, "function": { "name": "function", "arguments": ":1" } })),
                entry(json!({ "index": 0, "function": { "name": "function", "arguments": "}" } })),
                finish("tool_calls"),
            ],
            vec![call("a", "t", "{\"p\":1}")],
            end,
        ),
        case(
            "the older function call",
            vec![
                delta(json!({ "function_call": { "name": "t", "arguments": "{" } })),
                delta(json!({ "function_call": { "arguments": "}" } })),
                finish("function_call"),
            ],
            vec![call(&made(0), "t", "{}")],
            end,
        ),
    ]
}

#[test]
fn every_stream_means_the_same_however_it_is_cut() {
    for Case { name, chunks, frames, finish } in texts().into_iter().chain(thoughts()).chain(tool_calls()) {
        let bytes = body(&chunks);
        let expected = Ok((frames, StreamReply { finish, usage: None, model: String::new() }));
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), expected, "{name}, split at {at}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected, "{name}, in single bytes");
    }
}

#[test]
fn model_and_usage_after_the_finish_reason_are_told() {
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 1, "cache_write_tokens": 2 });
    let named = json!({ "model": "m-1", "choices": [{ "delta": { "content": "a" } }] });
    let last = json!({ "model": "", "choices": [], "usage": usage });
    let bytes = body(&[named, finish("stop"), last, json!("[DONE]")]);
    let usage =
        Usage { input_tokens: 3, output_tokens: 1, cache_read_tokens: None, cache_write_tokens: Some(2) };
    let reply = StreamReply { finish: Finish::Stop, usage: Some(usage), model: "m-1".into() };
    assert_eq!(read(&[&bytes]), Ok((vec![text("a")], reply)));
}
