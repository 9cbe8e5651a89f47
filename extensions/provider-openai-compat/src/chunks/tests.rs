//! Chunks as servers really send them, to frames.

use super::tool_calls::{ARGS_BYTES_MAX, CALLS_MAX};
use super::{Interpreter, ThinkTags};
use crate::ids::nine;
use crate::sse::SseParser;
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::{FaultClass, Finish, StreamFrame, StreamReply, Usage};
use serde_json::{Value, json};

mod streams;

type Answer = Result<(Vec<StreamFrame>, StreamReply), Trouble>;

/// Reads a body that comes in these pieces; neighbouring deltas of one kind are joined, because reads cut them freely.
fn read(pieces: &[&[u8]]) -> Answer {
    let mut parser = SseParser::default();
    let mut interpreter = Interpreter::new("seed".into(), ["taken".to_owned()].into(), ThinkTags::default());
    let mut shown = Vec::new();
    for piece in pieces {
        let mut frames = Vec::new();
        parser.push(piece, &mut |event: &str| interpreter.event(event, &mut frames))?;
        shown.extend(frames);
    }
    for event in parser.finish().expect("short lines") {
        interpreter.last_event(&event, &mut shown)?;
    }
    let (calls, reply) = interpreter.end(None)?;
    shown.extend(calls);
    Ok((joined(shown), reply))
}

fn joined(frames: Vec<StreamFrame>) -> Vec<StreamFrame> {
    use StreamFrame::{ReasoningDelta, TextDelta};
    let mut joined: Vec<StreamFrame> = Vec::new();
    for frame in frames {
        match (joined.last_mut(), &frame) {
            (Some(TextDelta { text }), TextDelta { text: more })
            | (Some(ReasoningDelta { text }), ReasoningDelta { text: more }) => text.push_str(more),
            _ => joined.push(frame),
        }
    }
    joined
}

/// A body of these chunks, each an event; a string goes as it is.
fn body(chunks: &[Value]) -> Vec<u8> {
    let text = |chunk: &Value| chunk.as_str().map_or_else(|| chunk.to_string(), str::to_owned);
    chunks.iter().map(|chunk| format!("data: {}\n\n", text(chunk))).collect::<String>().into_bytes()
}

fn read_chunks(chunks: &[Value]) -> Answer {
    read(&[&body(chunks)])
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta }] })
}

fn calls(entries: Value) -> Value {
    delta(json!({ "tool_calls": entries }))
}

fn finish(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn text(text: &str) -> StreamFrame {
    StreamFrame::TextDelta { text: text.into() }
}

fn call(id: &str, name: &str, args_text: &str) -> StreamFrame {
    StreamFrame::ToolCall {
        tool_call_id: id.into(),
        name: name.into(),
        args_text: args_text.into(),
        opaque: Value::Null,
    }
}

/// The id of a call that came without one.
fn made(call_idx: usize) -> String {
    nine(&format!("seed/{call_idx}"))
}

fn reply(finish: Finish) -> StreamReply {
    StreamReply { finish, usage: None, model: String::new() }
}

#[test]
fn half_a_stream_is_truncated_at_every_byte() {
    let whole = body(&[delta(json!({ "content": "hé" })), finish("stop"), json!("[DONE]")]);
    let finished_at = whole.windows(6).position(|bytes| bytes == b"\"stop\"").expect("it is there");
    for end in 0..whole.len() {
        match read(&[&whole[..end]]) {
            // The chunk with the finish reason is whole before its event is.
            Ok(answer) => {
                assert!(end > finished_at, "cut at {end}");
                assert_eq!(answer, (vec![text("hé")], reply(Finish::Stop)), "cut at {end}");
            }
            Err(trouble) => assert_eq!(trouble.class, FaultClass::Truncated, "cut at {end}"),
        }
    }
}

#[test]
fn done_without_any_output_is_truncated() {
    let trouble = read_chunks(&[json!({ "choices": [] }), json!("[DONE]")]).expect_err("nothing was said");
    assert_eq!(trouble, Trouble::new(FaultClass::Truncated, "the answer ended before its finish reason"));
}

#[test]
fn the_cause_of_a_cut_is_told() {
    let trouble = Interpreter::new(String::new(), Default::default(), ThinkTags::default())
        .end(Some("reset"))
        .expect_err("cut");
    assert_eq!(trouble.message, "the answer was cut before its finish reason: reset");
}

#[test]
fn what_is_no_json_is_garbled() {
    for broken in ["{\"choices\":[}", "<html>", "{\"a\":1}{\"b\":2}", "{\"a\":\n1}\n}"] {
        let trouble = read(&[format!("data: {}\n\n", broken.replace('\n', "\ndata: ")).as_bytes()]);
        assert_eq!(trouble.expect_err(broken).class, FaultClass::Garbled, "{broken}");
    }
}

#[test]
fn an_error_inside_a_stream_has_a_class() {
    let cases = [
        (json!({ "message": "slow down", "code": 429 }), FaultClass::RateLimited),
        (json!({ "message": "m", "code": "rate_limit_exceeded" }), FaultClass::RateLimited),
        (json!({ "message": "Overloaded", "type": "overloaded_error" }), FaultClass::ProviderOverloaded),
        (json!({ "message": "m", "code": "502" }), FaultClass::ServerError),
        (json!({ "message": "maximum context length is 10", "code": 400 }), FaultClass::ContextOverflow),
        (json!({ "message": "m", "code": "context_length_exceeded" }), FaultClass::ContextOverflow),
        (json!({ "message": "m", "code": "invalid_api_key" }), FaultClass::Auth),
        (json!({ "message": "m", "type": "invalid_request_error" }), FaultClass::BadRequest),
        (json!({ "message": "m", "code": 7 }), FaultClass::ServerError),
        (json!("it broke"), FaultClass::ServerError),
    ];
    for (error, class) in cases {
        let shapes = [json!({ "error": error }), json!([{ "error": error }])];
        for shape in shapes {
            let trouble = read_chunks(&[delta(json!({ "content": "a" })), shape]).expect_err("an error");
            assert_eq!(trouble.class, class, "{error}");
        }
    }
}

#[test]
fn a_chunk_that_is_the_error_itself_and_a_finish_reason_error_are_faults() {
    let itself = json!({ "object": "error", "message": "worker died", "code": 503 });
    let trouble = read_chunks(&[itself]).expect_err("an error");
    assert_eq!(trouble.class, FaultClass::ProviderOverloaded);
    assert_eq!(trouble.message, "the endpoint reported an error in its answer: worker died");
    for (reason, class) in [
        ("error", FaultClass::ServerError),
        ("abort", FaultClass::ServerError),
        ("network_error", FaultClass::ServerError),
        ("insufficient_system_resource", FaultClass::ProviderOverloaded),
    ] {
        let trouble = read_chunks(&[delta(json!({ "content": "a" })), finish(reason)]).expect_err(reason);
        assert_eq!(trouble.class, class, "{reason}");
        assert!(trouble.message.contains(reason), "{}", trouble.message);
    }
}

#[test]
fn finish_reasons_are_normalised() {
    let cases = [
        ("stop", Finish::Stop),
        ("end_turn", Finish::Stop),
        ("LENGTH", Finish::Length),
        ("max_tokens", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("tool_calls", Finish::Stop),
        ("something_new", Finish::Other),
    ];
    for (reason, expected) in cases {
        let answer = read_chunks(&[delta(json!({ "content": "a" })), finish(reason)]);
        assert_eq!(answer, Ok((vec![text("a")], reply(expected))), "{reason} without calls");
    }
    let one_call = calls(json!([{ "index": 0, "id": "c", "function": { "name": "t", "arguments": "{}" } }]));
    for reason in ["stop", "tool_calls", "function_call", "tool_use", "something_new"] {
        let answer = read_chunks(&[one_call.clone(), finish(reason)]);
        assert_eq!(
            answer,
            Ok((vec![call("c", "t", "{}")], reply(Finish::ToolCalls))),
            "{reason} with a call"
        );
    }
}

#[test]
fn calls_that_the_output_bound_cut_are_not_made() {
    let entries = json!([
        { "index": 0, "id": "a", "function": { "name": "t", "arguments": "{\"x\":1}" } },
        { "index": 1, "id": "b", "function": { "name": "t", "arguments": "{\"x\":" } },
        { "index": 2, "id": "c", "function": { "name": "t", "arguments": "" } },
    ]);
    let answer = read_chunks(&[calls(entries), finish("length")]);
    assert_eq!(answer, Ok((vec![call("a", "t", "{\"x\":1}")], reply(Finish::Length))));
}

#[test]
fn a_call_that_came_twice_is_made_once() {
    let whole = |id: Value, index: Value| {
        calls(json!([{ "index": index, "id": id, "function": { "name": "t", "arguments": "{\"x\":1}" } }]))
    };
    for (id, index) in [(json!("a"), json!(0)), (json!("a"), json!(null)), (json!(null), json!(0))] {
        let (made_id, chunk) = (made(0), whole(id.clone(), index));
        let (frames, _) = read_chunks(&[chunk.clone(), chunk, finish("stop")]).expect("a call");
        let expected = call(id.as_str().unwrap_or(&made_id), "t", "{\"x\":1}");
        assert_eq!(frames, [expected]);
    }
}

#[test]
fn ids_are_unique_in_the_answer_and_against_the_history() {
    let entry = |index: u64, id: &str| json!({ "index": index, "id": id, "function": { "name": "t", "arguments": "{}" } });
    let entries = json!([entry(0, "taken"), entry(1, "a"), entry(2, "a"), entry(3, "")]);
    let (frames, _) = read_chunks(&[calls(entries), finish("tool_calls")]).expect("calls");
    let expected = [made(0), "a".to_owned(), made(2), made(3)].map(|id| call(&id, "t", "{}"));
    assert_eq!(frames, expected);
}

#[test]
fn a_call_without_a_name_is_garbled() {
    let nameless = calls(json!([{ "index": 0, "id": "a", "function": { "arguments": "{}" } }]));
    let trouble = read_chunks(&[nameless, finish("tool_calls")]).expect_err("no name");
    assert_eq!(trouble, Trouble::new(FaultClass::Garbled, "tool call 0 of the answer has no name"));
}

#[test]
fn calls_and_their_arguments_are_bounded() {
    let named = |index: usize, args: &str| {
        calls(json!([{ "index": index, "function": { "name": "t", "arguments": args } }]))
    };
    let many: Vec<Value> = (0..=CALLS_MAX).map(|index| named(index, "{}")).collect();
    assert_eq!(read_chunks(&many).expect_err("too many").class, FaultClass::BadRequest);
    let long = "x".repeat(ARGS_BYTES_MAX / 4);
    let much: Vec<Value> = (0..5).map(|_| named(0, &long)).collect();
    assert_eq!(read_chunks(&much).expect_err("too much").class, FaultClass::BadRequest);
}

#[test]
fn deltas_of_one_read_are_joined_in_their_order_up_to_a_bound() {
    let mut interpreter = Interpreter::new(String::new(), Default::default(), ThinkTags::default());
    let mut frames = Vec::new();
    let piece = |n: usize| format!("{n} {}", "é\n".repeat(n % 40));
    let mut expected: Vec<StreamFrame> = Vec::new();
    for n in 0..2_000 {
        // Reasoning and text take turns now and then.
        let (field, frame) = match n / 500 % 2 {
            0 => ("reasoning", StreamFrame::ReasoningDelta { text: piece(n) }),
            _ => ("content", text(&piece(n))),
        };
        interpreter.event(&delta(json!({ field: piece(n) })).to_string(), &mut frames).expect("a chunk");
        expected.push(frame);
    }
    let bytes = |frame: &StreamFrame| match frame {
        StreamFrame::TextDelta { text } | StreamFrame::ReasoningDelta { text } => text.len(),
        other => panic!("unexpected {other:?}"),
    };
    assert!(frames.iter().all(|frame| bytes(frame) <= super::JOINED_BYTES_MAX));
    assert!(frames.len() < 16, "{} frames", frames.len());
    // Too long to be shown whole.
    assert!(joined(frames) == joined(expected), "text was lost, or is in another order");

    // A delta beyond the bound is not cut.
    let mut frames = vec![text("a")];
    let long = "x".repeat(super::JOINED_BYTES_MAX + 1);
    interpreter.event(&delta(json!({ "content": long })).to_string(), &mut frames).expect("a chunk");
    assert_eq!(frames, [text("a"), text(&long)]);
}

#[test]
fn what_is_read_without_a_tree_is_what_the_tree_says() {
    let odd = [
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"id":"x","model":"m","choices":[{"delta":{"role":"assistant","content":"\u00e9\n\"q\" \ud83d\ude00"}}],"usage":null}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"","reasoning":"r","content":null},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"a","reasoning":"b","content":"c","refusal":null,"tool_calls":[]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","refusal":"no"}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"text":"a"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":7,"reasoning":{"text":"r"}}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":7}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}},{"index":0,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":"0","delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":-1,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"message":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":null,"message":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"usage":{"prompt_tokens":1,"completion_tokens":2}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"x_groq":{"usage":{"prompt_tokens":1}}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"error":{"message":"m"}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"error":false}"#,
        r#"{"object":"error","message":"m","choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","tool_calls":[{"index":0,"id":"i","function":{"name":"n"}}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","function_call":{"name":"n"}}}]}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"model":7,"choices":[{"delta":{"content":"a"}}]}"#,
        r#"["error","m",[[0,["a"]]]]"#,
    ];
    let read = |data: &str, tree: bool| {
        let mut interpreter = Interpreter::new(String::new(), Default::default(), ThinkTags::default());
        let mut frames = Vec::new();
        let read = match tree {
            true => interpreter.chunk(&serde_json::from_str(data).expect("JSON"), &mut frames),
            false => interpreter.event(data, &mut frames),
        };
        (frames, read, format!("{interpreter:?}"))
    };
    let mut n_plain = 0;
    for data in odd {
        n_plain += usize::from(super::plain::read(data).is_some());
        assert_eq!(read(data, false), read(data, true), "{data}");
    }
    assert_eq!(n_plain, 5, "the others need the tree");
}

#[test]
fn usage_is_read_under_every_known_name() {
    let cases = [
        json!({ "prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": { "cached_tokens": 5 } }),
        json!({ "prompt_tokens": 9, "completion_tokens": 2, "cache_read_tokens": 5 }),
        json!({ "prompt_tokens": 9.0, "completion_tokens": 2.0, "prompt_cache_hit_tokens": 5 }),
        json!({ "input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 5 }),
    ];
    let expected =
        Usage { input_tokens: 9, output_tokens: 2, cache_read_tokens: Some(5), cache_write_tokens: None };
    for usage in cases {
        let places = [
            json!({ "choices": [], "usage": usage }),
            json!({ "choices": [{ "delta": {}, "usage": usage }] }),
            json!({ "choices": [], "x_groq": { "usage": usage } }),
        ];
        for place in places {
            let without = json!({ "choices": [], "usage": null });
            let (_, reply) = read_chunks(&[place.clone(), finish("stop"), without]).expect("an answer");
            assert_eq!(reply.usage, Some(expected), "{place}");
        }
    }
}

#[test]
fn what_comes_beside_a_call_is_wanted_back_with_it() {
    let extra = json!({ "google": { "thought_signature": "c2ln" } });
    let function = json!({ "name": "t", "arguments": "{}" });
    let chunks = [
        calls(json!([{ "index": 0, "id": "a", "function": function }])),
        calls(json!([{ "index": 0, "extra_content": extra }])),
        calls(json!([{ "index": 1, "id": "b", "function": function }])),
        finish("tool_calls"),
    ];
    let (frames, _) = read_chunks(&chunks).expect("an answer");
    let opaque = json!({ "extra_content": extra });
    let signed =
        StreamFrame::ToolCall { tool_call_id: "a".into(), name: "t".into(), args_text: "{}".into(), opaque };
    assert_eq!(frames, [signed, call("b", "t", "{}")]);
    let large = json!("x".repeat(ARGS_BYTES_MAX + 1));
    let chunks = [calls(json!([{ "index": 0, "id": "a", "function": function, "extra_content": large }]))];
    assert!(read_chunks(&chunks).is_err(), "it is bounded with the arguments");
}

#[test]
fn details_of_the_reasoning_are_put_together_and_wanted_back() {
    let details = |details: Value| delta(json!({ "reasoning_details": details }));
    let chunks = [
        delta(
            json!({ "reasoning": "I ", "reasoning_details": [{ "type": "reasoning.text", "text": "I ", "index": 0, "format": null }] }),
        ),
        details(json!([{ "type": "reasoning.text", "text": "see", "index": 0, "format": "f" }])),
        details(json!([{ "type": "reasoning.text", "signature": "c2ln", "index": 0 }])),
        details(
            json!([{ "type": "reasoning.encrypted", "data": "x", "id": "r1", "index": 1 }, { "type": "reasoning.encrypted", "data": "y", "id": "r2", "index": 1 }]),
        ),
        delta(json!({ "content": "a" })),
        finish("stop"),
    ];
    let (frames, _) = read_chunks(&chunks).expect("an answer");
    let opaque = json!({ "reasoning_details": [
        { "type": "reasoning.text", "text": "I see", "index": 0, "format": "f", "signature": "c2ln" },
        { "type": "reasoning.encrypted", "data": "x", "id": "r1", "index": 1 },
        { "type": "reasoning.encrypted", "data": "y", "id": "r2", "index": 1 },
    ] });
    let thought = StreamFrame::ReasoningDelta { text: "I ".into() };
    assert_eq!(frames, [thought, text("a"), StreamFrame::ReasoningOpaque { opaque }]);
    let large = details(json!([{ "type": "reasoning.text", "text": "x".repeat(2 << 20) }]));
    assert!(read_chunks(&[large]).is_err(), "it is bounded");
}
