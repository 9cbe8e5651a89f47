//! Messages of the contract to messages of the wire.

use super::messages::convert;
use super::style::{Sent, Style};
use super::tool;
use crate::ids::nine;
use crate::images::Images;
use crate::ways::Written;
use dispatch_sdk::contracts::message::{ImageSource, Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::provider::ToolOffer;
use serde_json::{Value, json};

/// Ids as they came; all reasoning of `producer` if there is one.
fn style(producer: Option<&str>) -> Style<'_> {
    let reasoning = if producer.is_some() { Sent::All } else { Sent::Nothing };
    written_with(producer.unwrap_or("p/m"), reasoning)
}

fn written_with(producer: &str, reasoning: Sent) -> Style<'_> {
    static NONE: std::sync::LazyLock<Images> = std::sync::LazyLock::new(Images::default);
    Style { producer, reasoning, details: true, nine_ids: false, images: &NONE, shows_images: true }
}

fn wire(system: &str, history: &[Message], producer: Option<&str>) -> Value {
    serde_json::to_value(convert(system, history, style(producer)).messages).expect("JSON")
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn text(text: &str) -> Part {
    Part::Text { text: text.into() }
}

fn call(id: &str, args: Value) -> Part {
    Part::ToolCall {
        tool_call_id: id.into(),
        name: "t".into(),
        args,
        opaque: Value::Null,
        producer: String::new(),
    }
}

fn result(id: &str, content: &str) -> Message {
    let (tool_call_id, name, content) = (id.into(), "t".into(), content.into());
    let status = ToolStatus::Ok;
    message(
        Role::Tool,
        vec![Part::ToolResult { tool_call_id, name, content, is_error: false, status, parts: vec![] }],
    )
}

fn reasoning(text: &str, producer: &str) -> Part {
    Part::Reasoning { text: text.into(), opaque: Value::Null, producer: producer.into() }
}

fn wire_call(id: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "t", "arguments": arguments } })
}

fn conversation() -> Vec<Message> {
    vec![
        message(Role::System, vec![text("so far: nothing")]),
        message(Role::User, vec![text("one"), Part::Unknown, text("two")]),
        message(
            Role::Assistant,
            vec![reasoning("hm", "p/m"), text("a"), text("b"), call("1", json!({ "x": 1 }))],
        ),
        result("1", "r"),
        message(Role::Assistant, vec![call("2", json!({ "_malformed": "{" })), call("3", Value::Null)]),
        result("3", ""),
        result("2", "s"),
        message(Role::Assistant, vec![text("done")]),
        message(Role::User, vec![text("next")]),
    ]
}

#[test]
fn a_conversation_is_written_as_strict_servers_read_it() {
    let expected = json!([
        { "role": "system", "content": "be brief" },
        { "role": "system", "content": "so far: nothing" },
        { "role": "user", "content": "one\ntwo" },
        { "role": "assistant", "content": "ab", "tool_calls": [wire_call("1", "{\"x\":1}")] },
        { "role": "tool", "tool_call_id": "1", "content": "r" },
        { "role": "assistant", "content": null,
          "tool_calls": [wire_call("2", "{\"_malformed\":\"{\"}"), wire_call("3", "{}")] },
        { "role": "tool", "tool_call_id": "3", "content": "" },
        { "role": "tool", "tool_call_id": "2", "content": "s" },
        { "role": "assistant", "content": "done" },
        { "role": "user", "content": "next" },
    ]);
    assert_eq!(wire("be brief", &conversation(), None), expected);
}

#[test]
fn the_messages_of_a_step_are_a_prefix_of_the_next_steps_byte_for_byte() {
    let history = conversation();
    let text_of = |n: usize| {
        let text =
            serde_json::to_string(&convert("s", &history[..n], style(Some("p/m"))).messages).expect("JSON");
        text.strip_suffix(']').expect("a list").to_owned()
    };
    let whole = text_of(history.len());
    // A step begins when every call has its result.
    for n in [0, 1, 2, 4, 7, 8] {
        assert!(whole.starts_with(&text_of(n)), "after {n} messages");
    }
}

#[test]
fn orphan_results_and_silent_messages_are_left_out_and_open_calls_are_answered() {
    let no_result = "(no result: the call was not finished)";
    let history = [
        result("0", "orphan"),
        message(Role::Assistant, vec![reasoning("hm", "p/m")]),
        message(Role::Assistant, vec![call("1", json!({})), call("1", json!({})), call("2", json!({}))]),
        result("2", "r"),
        result("2", "again"),
        result("9", "orphan"),
        message(Role::User, vec![text("go on")]),
        result("1", "too late"),
        message(Role::Assistant, vec![call("3", json!({}))]),
    ];
    let expected = json!([
        { "role": "assistant", "content": null, "tool_calls": [wire_call("1", "{}"), wire_call("2", "{}")] },
        { "role": "tool", "tool_call_id": "2", "content": "r" },
        { "role": "tool", "tool_call_id": "1", "content": no_result },
        { "role": "user", "content": "go on" },
        { "role": "assistant", "content": null, "tool_calls": [wire_call("3", "{}")] },
        { "role": "tool", "tool_call_id": "3", "content": no_result },
    ]);
    assert_eq!(wire("", &history, None), expected);
}

#[test]
fn reasoning_goes_back_to_its_own_model_alone() {
    let parts = vec![reasoning("mine", "p/m"), reasoning("other", "p/n"), text("a")];
    let history = [message(Role::Assistant, parts)];
    let with = json!([{ "role": "assistant", "content": "a", "reasoning_content": "mine" }]);
    let without = json!([{ "role": "assistant", "content": "a" }]);
    assert_eq!(wire("", &history, Some("p/m")), with);
    assert_eq!(wire("", &history, Some("q/m")), without);
    assert_eq!(wire("", &history, None), without);
}

#[test]
fn reasoning_of_the_running_turn_goes_back_alone_and_what_was_left_out_is_known() {
    let step = |thought: &str, id: &str| {
        message(Role::Assistant, vec![reasoning(thought, "p/m"), call(id, json!({}))])
    };
    let history = [
        message(Role::User, vec![text("one")]),
        step("old", "1"),
        result("1", "r"),
        message(Role::User, vec![text("two")]),
        step("new", "2"),
        result("2", "r"),
    ];
    let thoughts = |reasoning| {
        let converted = convert("", &history, written_with("p/m", reasoning));
        let wire = serde_json::to_value(converted.messages).expect("JSON");
        let sent: Vec<Value> = wire
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|m| m.get("reasoning_content").cloned())
            .collect();
        (sent, converted.written.has_reasoning, converted.written.left_reasoning_out)
    };
    assert_eq!(thoughts(Sent::Nothing), (vec![], false, true));
    assert_eq!(thoughts(Sent::OfTurn), (vec![json!("new")], true, true));
    assert_eq!(thoughts(Sent::All), (vec![json!("old"), json!("new")], true, false));
}

#[test]
fn ids_in_the_strictest_form_stand_at_the_call_at_its_result_and_where_none_was_recorded() {
    let history = [
        message(
            Role::Assistant,
            vec![call("call_abc", json!({})), call("aB3456789", json!({})), call("x", json!({}))],
        ),
        result("call_abc", "r"),
        result("aB3456789", "s"),
    ];
    let wire = |nine_ids| {
        let converted = convert("", &history, Style { nine_ids, ..style(None) });
        (serde_json::to_value(converted.messages).expect("JSON"), converted.written)
    };
    let (as_they_came, written) = wire(false);
    assert_eq!(as_they_came[1]["tool_call_id"], "call_abc");
    assert_eq!(written, Written { has_other_ids: true, ..Written::default() });
    let (strict, written) = wire(true);
    let ids = [nine("call_abc"), "aB3456789".to_owned(), nine("x")];
    for (idx, id) in ids.iter().enumerate() {
        assert_eq!(strict[0]["tool_calls"][idx]["id"], *id);
        assert_eq!(strict[idx + 1]["tool_call_id"], *id);
    }
    assert_eq!(written, Written::default());
}

#[test]
fn user_messages_that_meet_are_one() {
    let history = [
        message(Role::User, vec![text("first question")]),
        message(Role::User, vec![text("second question")]),
        message(Role::Assistant, vec![reasoning("said to nobody", "p/m")]),
        message(Role::User, vec![text("third")]),
        message(Role::Assistant, vec![text("a")]),
        message(Role::User, vec![text("fourth")]),
    ];
    let expected = json!([
        { "role": "user", "content": "first question\n\nsecond question\n\nthird" },
        { "role": "assistant", "content": "a" },
        { "role": "user", "content": "fourth" },
    ]);
    assert_eq!(wire("", &history, None), expected);
}

#[test]
fn the_ids_of_the_history_are_known() {
    let mut ids: Vec<String> = convert("", &conversation(), style(None)).ids.into_iter().collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn a_tool_without_parameters_has_an_empty_object_schema() {
    let offer = |input_schema| ToolOffer { name: "t".into(), description: "d".into(), input_schema };
    let expected = json!({ "type": "function", "function": {
        "name": "t", "description": "d", "parameters": { "type": "object", "properties": {} },
    } });
    for schema in [Value::Null, json!(true), json!({}), json!({ "type": "object" })] {
        assert_eq!(tool(&offer(schema)), expected);
    }
}

fn image(url: &str) -> Part {
    let source = ImageSource::Url { url: url.to_owned() };
    Part::Image { source, media_type: "image/png".to_owned() }
}

fn wire_image(url: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": url } })
}

fn shown(id: &str, parts: Vec<Part>) -> Message {
    let mut result = result(id, "what a reader without parts shows");
    if let Some(Part::ToolResult { parts: slot, .. }) = result.parts.first_mut() {
        *slot = parts;
    }
    result
}

#[test]
fn images_stand_in_user_messages_and_those_of_results_behind_all_results_of_the_step() {
    let history = [
        message(Role::User, vec![text("see"), image("https://a/1")]),
        message(Role::Assistant, vec![call("1", json!({})), call("2", json!({}))]),
        shown("1", vec![text("a screen"), image("https://a/2")]),
        shown("2", vec![image("https://a/3")]),
        message(Role::User, vec![text("and now?")]),
    ];
    let piece = |text: &str| json!({ "type": "text", "text": text });
    let what = "what a reader without parts shows";
    let expected = json!([
        { "role": "user", "content": [piece("see"), wire_image("https://a/1")] },
        { "role": "assistant", "content": null, "tool_calls": [wire_call("1", "{}"), wire_call("2", "{}")] },
        { "role": "tool", "tool_call_id": "1", "content": "a screen" },
        { "role": "tool", "tool_call_id": "2", "content": what },
        { "role": "user", "content": [
            piece("What `t` showed:"), wire_image("https://a/2"), piece("What `t` showed:"), wire_image("https://a/3"),
            piece("and now?"),
        ] },
    ]);
    assert_eq!(wire("", &history, None), expected);
    let unseen = "[an image, which this model cannot be shown]";
    let in_words = convert("", &history, Style { shows_images: false, ..style(None) });
    assert!(!in_words.written.has_images && convert("", &history, style(None)).written.has_images);
    let in_words = serde_json::to_value(in_words.messages).expect("JSON");
    assert_eq!(in_words[0]["content"], json!(format!("see\n{unseen}")));
    assert_eq!(in_words[3]["content"], json!(unseen));
    assert_eq!(in_words[4]["content"], json!("and now?"));
}

#[test]
fn what_a_model_wants_back_goes_to_that_model_alone_and_byte_for_byte() {
    let opaque = json!({ "extra_content": { "google": { "thought_signature": "c2ln" } } });
    let signed = |producer: &str| Part::ToolCall {
        tool_call_id: "1".into(),
        name: "t".into(),
        args: json!({}),
        opaque: opaque.clone(),
        producer: producer.into(),
    };
    let details = json!([{ "type": "reasoning.encrypted", "data": "xyz" }]);
    let thought = |producer: &str| Part::Reasoning {
        text: String::new(),
        opaque: json!({ "reasoning_details": details.clone() }),
        producer: producer.into(),
    };
    for (producer, back) in [("p/m", true), ("p/other", false)] {
        let history = [message(Role::Assistant, vec![thought(producer), signed(producer)])];
        let wire = wire("", &history, Some("p/m"));
        let extra = &wire[0]["tool_calls"][0]["extra_content"];
        assert_eq!(extra, if back { &opaque["extra_content"] } else { &Value::Null }, "{producer}");
        assert_eq!(&wire[0]["reasoning_details"], if back { &details } else { &Value::Null }, "{producer}");
    }
}
