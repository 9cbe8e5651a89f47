//! Scripts are read, checked and used up.

use serde_json::{Value, json};

use super::super::{Action, Deltas, FakeLlm, Rule, Script, When};
use super::client::Client;
use super::{ask, deltas, text};

fn with_result(mut body: Value, call: &Value, result: &str) -> Value {
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": call["id"], "type": "function", "function": {"name": "read", "arguments": "{}"}},
    ]}));
    messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
    body
}

#[test]
fn the_second_answer_depends_on_the_result_that_was_sent() {
    let fake = FakeLlm::start(Script::steps(vec![
        vec![Action::tool_call("read", json!({"path": ["{{last_user}}"]}))],
        vec![Action::text("{{last_tool_result}}, {{tool_result:0}}, {{tool_result:1}}, {{n_messages}}")],
    ]));
    let mut client = Client::connect(&fake);
    let first = deltas(&client.post(&ask("m", "say \"hi\"")));
    let call = &first[0]["tool_calls"][0];
    assert_eq!(first[1]["tool_calls"][0]["function"]["arguments"], "{\"path\":[\"say \\\"hi\\\"\"]}");
    let second = client.post(&with_result(ask("m", "say"), call, "42"));
    assert_eq!(text(&second), "42, 42, <no tool_result:1>, 3");
}

#[test]
fn the_built_in_tool_model_calls_and_then_tells_the_result() {
    let fake = FakeLlm::start(Script::default());
    let mut body = ask("fake-tool", "{\"path\": \"x\"}");
    let parameters = json!({"type": "object"});
    body["tools"] = json!([{"type": "function", "function": {"name": "read", "parameters": parameters}}]);
    let mut client = Client::connect(&fake);
    let first = deltas(&client.post(&body));
    let call = &first[0]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "read");
    let arguments = &first[1]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(arguments, "{\"path\":\"x\"}");
    let mut next = with_result(body, call, "contents");
    assert_eq!(text(&client.post(&next)), "contents");
    next["model"] = json!("fake-tool-write-file");
    let messages = next["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "user", "content": "and now?"}));
    let third = deltas(&client.post(&next));
    assert_eq!(third[0]["tool_calls"][0]["function"]["name"], "write-file");
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let when = |when: When, name: &str| Rule::always(vec![Action::text(name)]).when(when);
    let fake = FakeLlm::start(Script::rules(vec![
        when(
            When {
                model: Some("big-*".into()),
                last_user_contains: Some("weather".into()),
                ..When::default()
            },
            "model and text",
        ),
        when(When { request_idx: Some(1), ..When::default() }, "second"),
        when(When { n_tool_results_in_turn: Some(1), ..When::default() }, "result in turn"),
        when(When { n_tool_results: Some(1), ..When::default() }, "result before"),
        when(When { model: Some("big".into()), ..When::default() }, "exact"),
    ]));
    let mut client = Client::connect(&fake);
    assert_eq!(text(&client.post(&ask("big-1", "the weather"))), "model and text");
    assert_eq!(text(&client.post(&ask("big-1", "hello"))), "second");
    assert_eq!(text(&client.post(&ask("big", "hello"))), "exact");
    let mut body = with_result(ask("m", "x"), &json!({"id": "c"}), "r");
    assert_eq!(text(&client.post(&body)), "result in turn");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "user", "content": "y"}));
    assert_eq!(text(&client.post(&body)), "result before");
    assert_eq!(client.post(&ask("big-1", "hello")).status, 404);
}

#[test]
fn a_used_up_rule_falls_through_to_the_next() {
    let fake = FakeLlm::start(Script::rules(vec![
        Rule { times: Some(2), ..Rule::once(vec![Action::http_error(503)]) },
        Rule::once(vec![Action::text("at last")]),
    ]));
    let mut client = Client::connect(&fake);
    let statuses = [(); 4].map(|()| client.post(&ask("m", "x")).status);
    assert_eq!(statuses, [503, 503, 200, 404]);
    let refused = fake.requests()[3].refused.clone().unwrap();
    assert!(refused.contains("no rule of the script is left"), "{refused}");
}

#[test]
fn the_example_in_the_documentation_is_a_script() {
    let documentation = include_str!("../../fake_llm.rs");
    let example = documentation
        .split("//! ```json\n")
        .nth(1)
        .and_then(|rest| rest.split("//! ```").next())
        .unwrap()
        .replace("//! ", "");
    let script = Script::from_json(&example).unwrap();
    assert_eq!((script.rules.len(), script.strict), (4, true));
    assert_eq!(script.rules[2].times, Some(2));
    assert!(super::super::check::check(&script).is_ok());
}

#[test]
fn every_action_can_be_written_as_json() {
    let actions = r#"[
        {"text": "a"}, {"text": ["a"]}, {"text": {"n": 2, "delay_ms": 1, "stamp": true}},
        {"reasoning": "r"}, {"reasoning_content": ["r"]}, {"tool_call": {"name": "t"}},
        {"usage": {"place": "none"}}, {"finish": "length"}, "no_finish", "no_done",
        {"http_error": {"status": 429, "retry_after": {"date_in_seconds": -3}}},
        {"stream_error": {"message": "m"}}, "headers", {"wait_ms": 5}, "stall",
        {"cut_after_bytes": 9}, "close", "reset", {"pace": {"bytes": 1, "delay_ms": 2}},
        {"garbage": ["x"]}, {"bytes": [255]}, {"long_line": 9}, {"event": {}}, {"chunk": {}},
        {"repeat_last": 2}
    ]"#;
    let actions: Vec<Action> = serde_json::from_str(actions).unwrap();
    assert_eq!(actions.len(), 25);
    assert!(matches!(&actions[2], Action::Text(Deltas::Counted(c)) if c.n == 2 && c.stamp));
    let wrong = Script::from_json(r#"{"rules": [{"answer": ["stal"]}]}"#);
    assert!(wrong.unwrap_err().to_string().contains("unknown variant `stal`"));
}

fn mistake(answer: &str) -> String {
    let rule = serde_json::from_str(&format!("{{\"answer\": {answer}}}")).unwrap();
    super::super::check::check(&Script::rules(vec![rule])).unwrap_err()
}

#[test]
fn a_mistake_in_a_script_is_named_by_its_place() {
    for (answer, reason) in [
        (
            r#"["headers", {"text": "{{last_usr}}"}]"#,
            "rule 0, action 1 of the script: unknown template `last_usr`",
        ),
        (r#"[{"tool_call": {"name": "t", "arguments": {"a": ["{{x}}"]}}}]"#, "unknown template `x`"),
        (r#"[{"tool_call": {"name": "t", "deltas": 0}}]"#, "`deltas` must be"),
        (r#"[{"text": "a"}, {"http_error": {"status": 500}}]"#, "may stand before `http_error`"),
        (r#"[{"http_error": {"status": 500}}, "stall"]"#, "nothing after it"),
        (r#"[{"http_error": {"status": 200}}]"#, "status `200`"),
        (r#"[{"stream_error": {}}, "stall"]"#, "nothing may stand after"),
        (r#"[{"pace": {"bytes": 0}}]"#, "`bytes` 0"),
        (r#"[{"long_line": 99999999999}]"#, "`long_line` over"),
        (r#"[{"text": {"n": 99999999999}}]"#, "`n` over"),
        (r#"[{"repeat_last": 99999999999}]"#, "`repeat_last` over"),
    ] {
        let found = mistake(answer);
        assert!(found.contains(reason), "{answer}: {found}");
    }
}

#[test]
#[should_panic(expected = "cannot start the fake LLM: rule 0, action 0")]
fn a_script_with_a_mistake_does_not_start() {
    FakeLlm::start(Script::steps(vec![vec![Action::text("{{nope}}")]]));
}
