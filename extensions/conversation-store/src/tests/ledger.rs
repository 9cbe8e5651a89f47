//! What is made of the rows of a turn whose host died.

use crate::row::Row;
use crate::seal::{End, Ledger};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

fn end(rows: &[(&str, Value)]) -> End {
    let mut ledger = Ledger::default();
    for (seq, (kind, data)) in (1..).zip(rows) {
        let (turn_id, kind) = ("t".to_owned(), (*kind).to_owned());
        ledger.see(Row { seq, seq_first: seq, turn_id, at: 0, kind, data: to_raw_value(data).unwrap() });
    }
    ledger.end(false, 7)
}

fn values<'a>(raws: impl Iterator<Item = &'a str>) -> Vec<Value> {
    raws.map(|raw| serde_json::from_str(raw).unwrap()).collect()
}

fn messages(end: &End) -> Vec<Value> {
    values(end.messages.iter().map(|message| message.get()))
}

fn kinds(end: &End) -> Vec<&str> {
    end.events.iter().map(|event| event.kind.as_str()).collect()
}

fn text(step: &str, text: &str) -> (&'static str, Value) {
    ("text_delta", json!({ "step_id": step, "text": text }))
}

fn call(id: &str) -> (&'static str, Value) {
    ("tool_call", json!({ "step_id": "t#1", "tool_call_id": id, "name": "shell", "args": {} }))
}

fn result(id: &str) -> (&'static str, Value) {
    let data = json!({
        "step_id": "t#1", "tool_call_id": id, "name": "shell", "status": "ok", "content": "", "duration_ms": 1,
    });
    ("tool_result", data)
}

#[test]
fn a_call_without_a_result_gets_an_unknown_one() {
    let end = end(&[text("t#1", "look"), call("a"), call("b"), result("a")]);
    assert_eq!(kinds(&end), ["tool_result", "turn_ended"]);
    let found = messages(&end);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["parts"][0]["tool_call_id"], "b");
    assert_eq!(found[0]["parts"][0]["status"], "outcome_unknown");
    assert_eq!(found[0]["parts"][0]["is_error"], true);
    assert!(end.open_block.is_none());
}

#[test]
fn the_text_of_an_unfinished_step_goes_into_the_history_whole() {
    let thought = ("reasoning_delta", json!({ "step_id": "t#2", "text": "hm" }));
    let end = end(&[
        text("t#1", "old"),
        call("a"),
        result("a"),
        text("t#2", "half "),
        thought,
        text("t#2", "of it"),
    ]);
    assert_eq!(kinds(&end), ["turn_ended"]);
    let expected = json!({ "role": "assistant", "parts": [{ "type": "text", "text": "half of it" }] });
    assert_eq!(messages(&end), [expected]);
    assert_eq!(end.open_block.unwrap().seq, 6);
}

#[test]
fn text_whose_message_was_written_is_not_written_again() {
    let done = ("step_completed", json!({ "step_id": "t#1", "stream_ms": 1, "step_ms": 1 }));
    let end = end(&[text("t#1", "whole"), done]);
    assert_eq!(messages(&end), Vec::<Value>::new());
}

#[test]
fn the_end_sums_what_the_steps_used() {
    let usage = |step: &str, input: u64, cached: Option<u64>| {
        let usage = json!({ "input_tokens": input, "output_tokens": 2, "cache_read_tokens": cached });
        ("usage", json!({ "step_id": step, "usage": usage }))
    };
    let end = end(&[usage("t#1", 10, None), usage("t#2", 20, Some(5))]);
    let expected = json!({
        "status": "interrupted", "reason": "host_died", "context_tokens": 22, "duration_ms": 7,
        "usage": { "input_tokens": 30, "output_tokens": 4, "cache_read_tokens": 5 },
    });
    assert_eq!(values(end.events.iter().map(|event| event.data.get())), [expected]);
}

#[test]
fn a_turn_without_rows_ends_all_the_same() {
    let end = end(&[]);
    assert_eq!(kinds(&end), ["turn_ended"]);
    assert_eq!(messages(&end), Vec::<Value>::new());
}
