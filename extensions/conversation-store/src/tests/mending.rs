//! Mending a history.

use crate::mending::{Mending, Outline, UNKNOWN_OUTCOME};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn mended(messages: &[&str]) -> Vec<String> {
    let mut mending = Mending::default();
    for message in messages {
        let value = RawValue::from_string((*message).to_owned()).unwrap();
        mending.push(Outline::read(&value).unwrap(), value);
    }
    mending.finish().iter().map(|value| value.get().to_owned()).collect()
}

fn call(ids: &[&str]) -> String {
    let part = |id: &&str| json!({ "type": "tool_call", "tool_call_id": id, "name": "shell", "args": {} });
    json!({ "role": "assistant", "parts": ids.iter().map(part).collect::<Vec<_>>() }).to_string()
}

fn result(id: &str) -> String {
    let part = json!({ "type": "tool_result", "tool_call_id": id, "name": "shell", "content": "done", "status": "ok" });
    json!({ "role": "tool", "parts": [part] }).to_string()
}

fn unknown(id: &str) -> Value {
    json!({ "role": "tool", "parts": [{
        "type": "tool_result", "tool_call_id": id, "name": "shell", "content": UNKNOWN_OUTCOME,
        "is_error": true, "status": "outcome_unknown",
    }] })
}

const USER: &str = r#"{ "role":"user",  "parts":[{"type":"text","text":"hi \u00e9"}] , "later": 1 }"#;
const TEXT: &str = r#"{"role":"assistant","parts":[{"type":"text","text":"hello"}]}"#;
const THOUGHT: &str = r#"{"role":"assistant","parts":[{"type":"reasoning","text":"hm"}]}"#;

#[test]
fn a_result_that_never_came_stands_directly_after_those_that_did() {
    let (called, came) = (call(&["a", "b"]), result("b"));
    let found = mended(&[USER, &called, &came, USER, TEXT]);
    assert_eq!(found[..3], [USER.to_owned(), called, came]);
    assert_eq!(serde_json::from_str::<Value>(&found[3]).unwrap(), unknown("a"));
    assert_eq!(found[4..], [USER.to_owned(), TEXT.to_owned()]);
}

#[test]
fn an_id_that_an_earlier_turn_used_as_well_is_answered_in_its_own_place() {
    let (called, came) = (call(&["call_0"]), result("call_0"));
    let found = mended(&[USER, &called, &came, USER, &called, USER]);
    assert_eq!(found.len(), 7);
    assert_eq!(serde_json::from_str::<Value>(&found[5]).unwrap(), unknown("call_0"));
}

#[test]
fn an_assistant_message_that_says_nothing_is_dropped() {
    let blank = r#"{"role":"assistant","parts":[{"type":"text","text":" \n"}]}"#;
    let empty = r#"{"role":"assistant","parts":[]}"#;
    assert_eq!(mended(&[USER, THOUGHT, blank, empty, TEXT]), [USER, TEXT]);
}

#[test]
fn a_result_that_answers_no_call_is_dropped() {
    let (called, came, stray) = (call(&["a"]), result("a"), result("z"));
    assert_eq!(mended(&[&came, USER, &called, &came, &came, &stray]), [USER, &called, &came]);
}

#[test]
fn what_needs_no_mending_comes_back_byte_for_byte() {
    let (called, came) = (call(&["a"]), result("a"));
    let all = [USER, &called, &came, TEXT, USER];
    assert_eq!(mended(&all), all);
}

proptest! {
    #[test]
    fn mending_twice_is_mending_once(choices in prop::collection::vec(0..7usize, 0..40)) {
        let all = [
            USER.to_owned(), TEXT.to_owned(), THOUGHT.to_owned(), call(&["a"]), call(&["a", "b"]), result("a"), result("b"),
        ];
        let messages: Vec<&str> = choices.iter().map(|idx| all[*idx].as_str()).collect();
        let once = mended(&messages);
        let again = mended(&once.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(&again, &once);
        // Each call is followed by exactly its results before anything else comes.
        let mut open: Vec<String> = Vec::new();
        for message in &once {
            let value: Value = serde_json::from_str(message).unwrap();
            let ids = value["parts"].as_array().unwrap().iter().filter_map(|part| part["tool_call_id"].as_str());
            if value["role"] == "tool" {
                for id in ids {
                    let idx = open.iter().position(|open| open == id);
                    prop_assert!(idx.is_some());
                    open.remove(idx.unwrap());
                }
            } else {
                prop_assert!(open.is_empty());
                open = ids.map(str::to_owned).collect();
            }
        }
        prop_assert!(open.is_empty());
    }
}
