//! What a strict provider refuses is refused with the reason.

use serde_json::{Value, json};

use super::super::strict::check;
use super::super::{Action, FakeLlm, Feature, Rule, Script};
use super::ask;
use super::client::Client;

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "read", "arguments": "{}"}})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "r"})
}

fn with_messages(messages: Value) -> Value {
    json!({"model": "m", "messages": messages})
}

fn refused_at(script: &Script, body: &Value) -> String {
    match check(script, body) {
        Ok(()) => "accepted".to_owned(),
        Err(refusal) => refusal.param,
    }
}

#[test]
fn a_full_honest_request_is_accepted() {
    let body = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5,
        "tools": [{"type": "function", "function": {
            "name": "read", "description": "d", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": "auto", "parallel_tool_calls": true,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "u"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
            {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [call("a"), call("b")]},
            result("b"),
            result("a"),
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "again"},
        ],
    });
    assert_eq!(check(&Script::default(), &body), Ok(()));
}

#[test]
fn histories_that_a_strict_provider_refuses_are_refused() {
    let user = json!({"role": "user", "content": "u"});
    let calls = |calls: Value| json!({"role": "assistant", "content": null, "tool_calls": calls});
    let with = |path: &str, value: Value| {
        let mut call = call("a");
        *call.pointer_mut(path).unwrap() = value;
        calls(json!([call]))
    };
    let arguments = "messages[1].tool_calls[0].function.arguments";
    for (messages, param) in [
        (json!([]), "messages"),
        (json!("hi"), "messages"),
        (json!([user, {"role": "function", "content": "x"}]), "messages[1].role"),
        (json!([user, {"content": "x"}]), "messages[1].role"),
        (json!([user, {"role": "assistant"}]), "messages[1]"),
        (json!([user, {"role": "assistant", "content": ""}]), "messages[1]"),
        (json!([{"role": "user", "content": null}]), "messages[0].content"),
        (json!([{"role": "user", "content": {"text": "x"}}]), "messages[0].content"),
        (json!([{"role": "user", "content": []}]), "messages[0].content"),
        (json!([{"role": "user", "content": [{"type": "tool_use"}]}]), "messages[0].content[0]"),
        (
            json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
            "messages[0].content[0]",
        ),
        (json!([{"role": "user", "content": "x", "id": 3}]), "messages[0].id"),
        (json!([{"role": "user", "content": "x", "tool_calls": []}]), "messages[0].tool_calls"),
        (json!([user, calls(json!([]))]), "messages[1].tool_calls"),
        (json!([user, calls(json!([call("a")]))]), "messages"),
        (json!([user, calls(json!([call("a")])), user]), "messages[2]"),
        (json!([user, calls(json!([call("a"), call("b")])), result("a"), user, result("b")]), "messages[3]"),
        (json!([user, calls(json!([call("a"), call("a")])), result("a")]), "messages[1].tool_calls[1]"),
        (json!([user, calls(json!([call("a")])), result("a"), result("a")]), "messages[3].tool_call_id"),
        (json!([user, result("a")]), "messages[1].tool_call_id"),
        (
            json!([user, calls(json!([call("a")])), {"role": "tool", "content": "r"}]),
            "messages[2].tool_call_id",
        ),
        (json!([user, with("/type", json!("custom"))]), "messages[1].tool_calls[0].type"),
        (json!([user, with("/id", json!(""))]), "messages[1].tool_calls[0].id"),
        (json!([user, with("/function/name", json!("a b"))]), "messages[1].tool_calls[0].function.name"),
        (json!([user, with("/function/arguments", json!({}))]), arguments),
        (json!([user, with("/function/arguments", json!("{\"a\":"))]), arguments),
        (json!([user, with("/function/arguments", json!(""))]), arguments),
    ] {
        let found = refused_at(&Script::default(), &with_messages(messages.clone()));
        assert_eq!(found, param, "{messages}");
    }
}

#[test]
fn parameters_that_a_strict_provider_refuses_are_refused() {
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let object = json!({"type": "object"});
    for (fields, param) in [
        (json!({"model": ""}), "model"),
        (json!({"conversation_id": "c"}), "conversation_id"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": {}}), "stream_options"),
        (json!({"stream": true, "stream_options": {"include_usage": 1}}), "stream_options"),
        (json!({"tool_choice": "auto"}), "tool_choice"),
        (json!({"parallel_tool_calls": true}), "parallel_tool_calls"),
        (json!({"tools": []}), "tools"),
        (json!({"tools": null}), "tools"),
        (json!({"tools": [{"name": "x"}]}), "tools[0].type"),
        (json!({"tools": [tool("a.b", object.clone())]}), "tools[0].function.name"),
        (json!({"tools": [tool("a", object.clone()), tool("a", object)]}), "tools[1].function.name"),
        (json!({"tools": [tool("a", Value::Null)]}), "tools[0].function.parameters"),
        (json!({"tools": [tool("a", json!({"type": "string"}))]}), "tools[0].function.parameters"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a", "description": 1}}]}),
            "tools[0].function.description",
        ),
    ] {
        let mut body = with_messages(json!([{"role": "user", "content": "u"}]));
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields.clone());
        assert_eq!(refused_at(&Script::default(), &body), param, "{fields:?}");
    }
}

#[test]
fn a_script_can_make_the_provider_narrower() {
    let script = Script {
        refuses: vec![Feature::DeveloperRole, Feature::ArrayContent],
        refuses_fields: vec!["stream_options".into()],
        ..Script::default()
    };
    let developer = with_messages(json!([{"role": "developer", "content": "d"}]));
    assert_eq!(refused_at(&script, &developer), "messages[0].role");
    let parts = with_messages(json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]));
    assert_eq!(refused_at(&script, &parts), "messages[0].content");
    let mut options = ask("m", "x");
    options["stream_options"] = json!({"include_usage": true});
    assert_eq!(refused_at(&script, &options), "stream_options");
}

#[test]
fn a_refused_request_is_answered_400_and_uses_up_no_rule() {
    let fake = FakeLlm::start(Script::steps(vec![vec![Action::text("ok")]]));
    let mut client = Client::connect(&fake);
    let orphan = with_messages(json!([result("a")]));
    let response = client.post(&orphan);
    let reason = "an orphan tool result: no open call has the id `a`";
    assert_eq!(
        (response.status, response.json()),
        (
            400,
            json!({"error": {
                "message": reason, "type": "invalid_request_error",
                "param": "messages[0].tool_call_id", "code": null,
            }})
        )
    );
    assert_eq!(client.post(&ask("m", "x")).status, 200);
    let refusals: Vec<_> = fake.requests().into_iter().map(|r| r.refused).collect();
    assert_eq!(refusals, [Some(reason.to_owned()), None]);
}

#[test]
fn a_lenient_server_answers_what_a_strict_one_refuses() {
    let fake = FakeLlm::start(Script {
        strict: false,
        ..Script::rules(vec![Rule::always(vec![Action::text("ok")])])
    });
    let mut client = Client::connect(&fake);
    assert_eq!(client.post(&with_messages(json!([result("a")]))).status, 200);
    assert_eq!(client.post(&json!([])).status, 400);
}
