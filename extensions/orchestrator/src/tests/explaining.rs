//! `turns.v1/explain`.

use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{EXPLAIN_ITEMS_MAX, EXPLAIN_ROWS_MAX, Explain, ExplainParams};
use serde_json::{Value, json};

/// A log that answers pages as conversation-store does: with `before`, the last rows below it.
fn log_of(world: &World, rows: Vec<(&'static str, &'static str, Value)>, page_rows_max: usize) {
    let events: Vec<Value> = rows
        .into_iter()
        .enumerate()
        .map(|(idx, (turn_id, kind, data))| {
            json!({ "seq": idx + 1, "conversation_id": "c", "turn_id": turn_id, "at": 1000 + idx, "type": kind, "data": data })
        })
        .collect();
    world.host.on("conversations.v1/events", move |params| {
        let before = params["before"].as_u64().expect("read from the newest back");
        let below: Vec<&Value> =
            events.iter().filter(|event| event["seq"].as_u64().expect("a number") < before).collect();
        let limit = page_rows_max.min(params["limit"].as_u64().expect("a limit") as usize);
        let from = below.len().saturating_sub(limit);
        Ok(json!({ "events": below[from..], "has_older": from > 0, "has_newer": below.len() < events.len() }))
    });
}

async fn explain(world: &World, turn_id: Option<&str>) -> Result<Value, Fault> {
    let params = ExplainParams { conversation_id: "c".into(), turn_id: turn_id.map(str::to_owned) };
    let reply = world.ext().call(Explain, &params).await?;
    Ok(serde_json::to_value(reply).expect("JSON"))
}

fn started(turn_id: &'static str) -> (&'static str, &'static str, Value) {
    (turn_id, "turn_started", json!({ "provider": "one", "model": "m", "cwd": "/" }))
}

fn a_turn() -> Vec<(&'static str, &'static str, Value)> {
    let changed = |data: Value| ("t2", "filter_changed", data);
    let replaced = |filter: &str, point: &str, call: Value, at: &str, value: &str| {
        json!({
            "point": point, "filter": filter, "tool_call_id": call, "duration_ms": 2,
            "ops": [{ "op": "replace", "at": at, "value": value }],
        })
    };
    vec![
        started("t1"),
        ("t1", "turn_ended", json!({ "status": "completed", "reason": "stop" })),
        started("t2"),
        ("t2", "input", json!({ "parts": [] })),
        ("t2", "text_delta", json!({ "step_id": "t2#0", "text": "I look" })),
        (
            "t2",
            "notice",
            json!({ "code": "filter_failed", "message": "filter `lame` failed and was passed over" }),
        ),
        (
            "t2",
            "retry_scheduled",
            json!({
                "step_id": "t2#0", "attempt": 1, "delay_ms": 5, "class": "rate_limited", "message": "slow down",
            }),
        ),
        changed(json!({ "point": "turn.tools", "filter": "lean", "ops": [{ "op": "remove", "at": 3 }] })),
        changed(replaced("cheap", "provider.request", Value::Null, "model", "small")),
        changed(replaced("cheaper", "provider.request", Value::Null, "model", "tiny")),
        (
            "t2",
            "tool_call",
            json!({
                "step_id": "t2#0", "tool_call_id": "a", "name": "read_file", "args": {}, "effect": "read",
            }),
        ),
        ("t2", "tool_call", json!({ "step_id": "t2#0", "tool_call_id": "b", "name": "shell", "args": {} })),
        changed(replaced("redact", "tool.result", json!("a"), "content", "[redacted:aws]")),
        (
            "t2",
            "tool_result",
            json!({
                "step_id": "t2#0", "tool_call_id": "a", "name": "read_file", "status": "ok", "content": "long",
                "duration_ms": 7,
            }),
        ),
        (
            "t2",
            "tool_result",
            json!({
                "step_id": "t2#0", "tool_call_id": "b", "name": "shell", "status": "denied", "content": "the user said no",
                "duration_ms": 0, "denied_by": "approval",
            }),
        ),
        ("t2", "usage", json!({ "step_id": "t2#0", "usage": { "input_tokens": 10, "output_tokens": 5 } })),
        (
            "t2",
            "step_completed",
            json!({
                "step_id": "t2#0", "finish": "tool_calls", "first_ms": 3, "stream_ms": 9, "step_ms": 20,
            }),
        ),
        changed(replaced("cheap", "provider.request", Value::Null, "model", "small")),
        ("t2", "error", json!({ "code": "auth", "message": "the key was refused" })),
        ("t2", "turn_ended", json!({ "status": "failed", "reason": "auth", "duration_ms": 30 })),
    ]
}

#[tokio::test]
async fn a_turn_is_told_step_by_step_with_what_was_before() {
    let world = World::new().await;
    let whole = json!({
        "conversation_id": "c", "turn_id": "t2", "started_at": 1002, "provider": "one", "model": "m",
        "changes": [{ "point": "turn.tools", "filter": "lean", "ops": [{ "op": "remove", "at": 3 }] }],
        "steps": [
            {
                "step_id": "t2#0", "finish": "tool_calls", "timing": { "first_ms": 3, "stream_ms": 9, "step_ms": 20 },
                "usage": { "input_tokens": 10, "output_tokens": 5 },
                "retries": [{ "attempt": 1, "delay_ms": 5, "class": "rate_limited", "message": "slow down" }],
                "changes": [
                    { "point": "provider.request", "filter": "cheap", "duration_ms": 2,
                      "ops": [{ "op": "replace", "at": "model", "before": "m", "after": "small" }] },
                    { "point": "provider.request", "filter": "cheaper", "duration_ms": 2,
                      "ops": [{ "op": "replace", "at": "model", "before": "small", "after": "tiny" }] },
                    { "point": "tool.result", "filter": "redact", "tool_call_id": "a", "duration_ms": 2,
                      "ops": [{ "op": "replace", "at": "content", "after": "[redacted:aws]" }] },
                ],
                "tools": [
                    { "tool_call_id": "a", "name": "read_file", "effect": "read", "status": "ok", "duration_ms": 7 },
                    { "tool_call_id": "b", "name": "shell", "status": "denied", "duration_ms": 0,
                      "denied_by": "approval", "reason": "the user said no" },
                ],
            },
            {
                "step_id": "t2#1",
                "changes": [{ "point": "provider.request", "filter": "cheap", "duration_ms": 2,
                              "ops": [{ "op": "replace", "at": "model", "before": "m", "after": "small" }] }],
            },
        ],
        "notices": [{ "code": "filter_failed", "message": "filter `lame` failed and was passed over" }],
        "error": { "code": "auth", "message": "the key was refused" },
        "ended": {
            "status": "failed", "reason": "auth", "usage": { "input_tokens": 0, "output_tokens": 0 },
            "context_tokens": 0, "duration_ms": 30,
        },
        "incomplete": false,
    });
    for page_rows_max in [1, 3, 200] {
        log_of(&world, a_turn(), page_rows_max);
        for turn_id in [None, Some("t2")] {
            assert_eq!(explain(&world, turn_id).await, Ok(whole.clone()), "{page_rows_max} rows a page");
        }
    }
}

#[tokio::test]
async fn an_earlier_turn_is_found_and_one_that_never_was_is_not() {
    let world = World::new().await;
    log_of(&world, a_turn(), 4);
    let earlier = explain(&world, Some("t1")).await.unwrap();
    assert_eq!((&earlier["started_at"], &earlier["steps"]), (&json!(1000), &json!([])));
    assert_eq!(earlier["ended"]["status"], "completed");
    let missing = explain(&world, Some("t3")).await.unwrap_err();
    assert_eq!(missing.code, "not_found");
    assert!(missing.message.contains("no turn `t3` among the newest 20 rows"), "{}", missing.message);
    log_of(&world, Vec::new(), 4);
    assert_eq!(explain(&world, None).await.unwrap_err().message, "conversation `c` has no turn yet");
}

#[tokio::test]
async fn a_turn_that_runs_has_an_open_step_and_no_end() {
    let world = World::new().await;
    let called =
        json!({ "step_id": "t#0", "tool_call_id": "a", "name": "shell", "args": {}, "effect": "exec" });
    log_of(&world, vec![started("t"), ("t", "tool_call", called)], 9);
    world.host.on("conversations.v1/turn", |params| {
        assert_eq!(params, json!({ "conversation_id": "c", "turn_id": "t" }));
        let stop = json!({ "at": 9, "by": "user:ann" });
        Ok(json!({ "turn_id": "t", "seq_first": 1, "seq_last": 1, "started_at": 5, "stop": stop }))
    });
    let told = explain(&world, None).await.unwrap();
    assert_eq!(told["stop"], json!({ "at": 9, "by": "user:ann" }), "somebody wants it to end");
    let open = json!([{
        "step_id": "t#0", "tools": [{ "tool_call_id": "a", "name": "shell", "effect": "exec" }],
    }]);
    assert_eq!((&told["steps"], told.get("ended")), (&open, None));
}

#[tokio::test]
async fn a_question_is_told_with_its_answer_and_what_was_changed() {
    let world = World::new().await;
    let called = |id: &str| {
        let data =
            json!({ "step_id": "t#0", "tool_call_id": id, "name": "shell", "args": {}, "effect": "exec" });
        ("t", "tool_call", data)
    };
    let of_call = |kind: &'static str, id: &str, more: Value| {
        let mut data = json!({ "step_id": "t#0", "tool_call_id": id, "tool": "shell", "effect": "exec" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("t", kind, data)
    };
    let rows = vec![
        started("t"),
        called("a"),
        of_call("approval_requested", "a", json!({ "args": {} })),
        called("b"),
        of_call("approval_requested", "b", json!({ "args": {} })),
        called("c"),
        of_call(
            "approval_resolved",
            "a",
            json!({ "decision": "allow", "by": "user:ann", "scope": "once", "args": { "cmd": "ls" } }),
        ),
    ];
    log_of(&world, rows, 9);
    let told = explain(&world, None).await.unwrap();
    let tool = |id: &str| json!({ "tool_call_id": id, "name": "shell", "effect": "exec" });
    let (mut allowed, mut open) = (tool("a"), tool("b"));
    allowed["approval"] = json!({
        "decision": "allow", "by": "user:ann", "scope": "once", "waited_ms": 4, "args": "{\"cmd\":\"ls\"}",
    });
    open["approval"] = json!({});
    assert_eq!(told["steps"][0]["tools"], json!([allowed, open, tool("c")]));
}

#[tokio::test]
async fn a_long_value_is_cut_and_of_a_long_turn_the_newest_is_kept() {
    let world = World::new().await;
    let long = "é".repeat(4000);
    let changed = json!({
        "point": "tool.call", "filter": "f", "tool_call_id": "a", "ops": [{ "op": "replace", "at": "args", "value": long }],
    });
    log_of(&world, vec![started("t"), ("t", "filter_changed", changed)], 9);
    let told = explain(&world, None).await.unwrap();
    let op = &told["steps"][0]["changes"][0]["ops"][0];
    assert_eq!((&op["cut"], op["after"].as_str().map(str::len)), (&json!(true), Some(1023)));

    let mut rows = vec![started("t")];
    rows.extend(
        (0..=EXPLAIN_ITEMS_MAX).map(|n| ("t", "notice", json!({ "code": "n", "message": n.to_string() }))),
    );
    log_of(&world, rows, 200);
    let told = explain(&world, None).await.unwrap();
    let notices = told["notices"].as_array().unwrap();
    assert_eq!(
        (notices.len(), &told["incomplete"], &told["provider"]),
        (EXPLAIN_ITEMS_MAX, &json!(true), &json!("one"))
    );
    assert_eq!(notices[0]["message"], "1");
}

#[tokio::test]
async fn an_endless_log_is_searched_for_so_many_rows_and_no_more() {
    let world = World::new().await;
    world.host.on("conversations.v1/events", |params| {
        let end = params["before"].as_u64().unwrap().min(1_000_000);
        let row = |seq: u64| json!({ "seq": seq, "conversation_id": "c", "turn_id": "t", "at": 1, "type": "input", "data": {} });
        let rows: Vec<Value> = (end - params["limit"].as_u64().unwrap()..end).map(row).collect();
        Ok(json!({ "events": rows, "has_older": true, "has_newer": false }))
    });
    let missing = explain(&world, Some("other")).await.unwrap_err();
    let told = format!("no turn `other` among the newest {EXPLAIN_ROWS_MAX} rows");
    assert!(missing.code == "not_found" && missing.message.contains(&told), "{}", missing.message);
}

#[tokio::test]
async fn rows_that_nobody_can_read_are_told_as_missing() {
    let world = World::new().await;
    let page = json!({
        "events": [
            { "seq": 1, "conversation_id": "c", "turn_id": "t", "at": 1, "type": "turn_started",
              "data": { "provider": "one", "cwd": "/" } },
            { "seq": 3, "conversation_id": "c", "turn_id": "t", "at": 1, "type": "usage", "data": "of a later version" },
        ],
        "has_older": false, "has_newer": false,
    });
    for (skipped, n_events) in [(0, 2), (1, 1)] {
        let mut page = page.clone();
        page["skipped"] = json!(skipped);
        page["events"].as_array_mut().unwrap().truncate(n_events);
        world.host.on("conversations.v1/events", move |_| Ok(page.clone()));
        let told = explain(&world, None).await.unwrap();
        assert_eq!((&told["incomplete"], &told["provider"]), (&json!(true), &json!("one")), "{skipped}");
    }
}
