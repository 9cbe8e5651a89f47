//! Ops as routes: inputs, replies, faults, and requests that fit no route.

use super::{run, until, world};
use dispatch_sdk::Fault;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn an_op_is_a_route_and_knows_who_asks() {
    let world = world(json!({})).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let got = world.ask("GET /v1/things/a%20b%2Fc", &format!("traceparent: {trace}\r\n"), "").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let expected = json!({
        "op": "things.get",
        "input": { "thing_id": "a b/c" },
        "actor": "token:default",
        "trace": trace,
    });
    assert_eq!(got.json(), expected);
    let made = world.send("POST /v1/things", r#"{"name":"one","n":18446744073709551615}"#).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["input"], json!({ "name": "one", "n": u64::MAX }));
    assert_eq!(made.json()["trace"], Value::Null);
    let gone = world.ask("DELETE /v1/things/1", "", "").await;
    assert_eq!((gone.status, gone.body.len(), gone.header("content-type")), (204, 0, None));
}

#[tokio::test]
async fn a_trace_without_its_form_is_none() {
    let world = world(json!({})).await;
    for trace in [
        "nonsense",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    ] {
        let got = world.ask("GET /v1/things/1", &format!("traceparent: {trace}\r\n"), "").await;
        assert_eq!(got.json()["trace"], Value::Null, "{trace}");
    }
}

#[tokio::test]
async fn a_query_is_read_as_the_schema_says() {
    let world = world(json!({})).await;
    let query = "deep=true&limit=7&ratio=1.5&tags=a&tags=b+c&colour=red&where=%7B%22x%22%3A1%7D";
    let got = world.get(&format!("/v1/things/42?{query}")).await;
    let expected = json!({
        "thing_id": "42", "deep": true, "limit": 7, "ratio": 1.5, "tags": ["a", "b c"],
        "colour": "red", "where": { "x": 1 },
    });
    assert_eq!(got.json()["input"], expected);
    // The path wins over the query, and over the body.
    let got = world.get("/v1/things/42?thing_id=43").await;
    assert_eq!(got.json()["input"]["thing_id"], "42");
    let put = world.send("PUT /v1/things/42", r#"{"thing_id":"43","name":"x"}"#).await;
    assert_eq!(put.json()["input"], json!({ "thing_id": "42", "name": "x" }));
    let put = world.ask("PUT /v1/things/42?name=y", "", "").await;
    assert_eq!(put.json()["input"], json!({ "thing_id": "42", "name": "y" }));
}

#[tokio::test]
async fn what_a_query_cannot_say_is_refused_before_the_op() {
    let world = world(json!({})).await;
    for (query, says) in [
        ("deep=yes", "`deep` is not what the op takes; send true or false"),
        ("limit=x", "`limit` is not what the op takes; send an integer"),
        ("limit=1.5", "send an integer"),
        ("limit=", "send an integer"),
        ("ratio=NaN", "send a number"),
        ("limit=1&limit=2", "`limit` stands in the query 2 times; send it once"),
        ("where=1", "send a JSON object"),
        ("limt=1", "`limt` is no parameter of this route; known are `colour`, `deep`, `limit`"),
        ("deep=%ff", "no UTF-8"),
    ] {
        let refused = world.get(&format!("/v1/things/1?{query}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid"), "{query}");
        let detail = refused.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let twice = world.send("POST /v1/things?name=a", r#"{"name":"b"}"#).await;
    assert_eq!(twice.status, 400);
    assert!(twice.json()["detail"].as_str().expect("text").contains("in the query and in the body"));
    assert_eq!(world.get("/v1/things/%ff").await.status, 400);
    let many = vec!["tags=a"; 300].join("&");
    assert_eq!(world.get(&format!("/v1/things/1?{many}")).await.status, 400);
    assert!(world.inputs().is_empty());
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_before_the_op() {
    let world = world(json!({})).await;
    for body in ["[]", "1", "null", "{", "{\"name\":}", "\u{fffd}"] {
        let refused = world.send("POST /v1/things", body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid"), "{body}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(world.send("POST /v1/things", &format!("{{\"name\":{deep}")).await.status, 400);
    for lines in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let refused = world.ask("POST /v1/things", &format!("{lines}Content-Length: 2\r\n"), "{}").await;
        assert_eq!((refused.status, refused.code().as_str()), (415, "unsupported_media_type"), "{lines}");
        let chunked = format!("{lines}Transfer-Encoding: chunked\r\n");
        let refused = world.ask("POST /v1/things", &chunked, "2\r\n{}\r\n0\r\n\r\n").await;
        assert_eq!(refused.status, 415, "{lines}");
    }
    let on_get = world.ask("GET /v1/things/1", "Content-Length: 2\r\n", "{}").await;
    assert_eq!(on_get.status, 400);
    assert!(world.inputs().is_empty());
    let lines = "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 14\r\n";
    assert_eq!(world.ask("POST /v1/things", lines, "{\"name\":\"one\"}").await.status, 201);
    // No body is an empty object, whatever its type; the router says what is missing.
    assert_eq!(world.ask("POST /v1/things", "Content-Length: 0\r\n", "").await.status, 201);
}

#[tokio::test]
async fn get_answers_head_and_other_methods_are_named() {
    let world = world(json!({})).await;
    let head = world.ask("HEAD /v1/things/1", "", "").await;
    let got = world.get("/v1/things/1").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), got.header("content-length"));
    let other = world.ask("PATCH /v1/things/1", "", "").await;
    assert_eq!((other.status, other.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(other.header("allow"), Some("DELETE, GET, HEAD, PUT"));
    assert_eq!(world.ask("POST /version", "", "").await.header("allow"), Some("GET, HEAD"));
    assert_eq!(world.ask("OPTIONS /v1/things", "", "").await.status, 405);
    for path in ["/", "/v1", "/v1/things/", "/v1/things/1/", "//v1/things", "/v1/things/1/nothing", "*"] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_fault_is_a_problem_with_the_status_of_its_code() {
    let host = super::host();
    run(&host, |input, _| async move {
        let code = input["thing_id"].as_str().unwrap_or("none").to_owned();
        Err(Fault::new(&code, "it went wrong").with_detail(json!({ "retry_after_ms": 1_001 })))
    });
    let world = super::serve(host, json!({})).await;
    for (code, status, retry_after) in [
        ("invalid", 400, None),
        ("denied", 403, None),
        ("not_found", 404, None),
        ("turn_in_flight", 409, None),
        ("stale", 410, None),
        ("too_large", 413, None),
        ("cancelled", 499, None),
        ("panicked", 500, None),
        ("some_new_code", 500, None),
        ("overloaded", 503, Some("2")),
        ("deadline", 504, None),
        ("no_space", 507, Some("2")),
    ] {
        let failed = world.get(&format!("/v1/things/{code}")).await;
        assert_eq!((failed.status, failed.code().as_str()), (status, code));
        assert_eq!(failed.header("retry-after"), retry_after, "{code}");
        assert_eq!(failed.json()["detail"], "it went wrong");
        assert_eq!(failed.json()["fault_detail"], json!({ "retry_after_ms": 1_001 }));
        assert_eq!(failed.json()["type"], "about:blank");
        assert!(!failed.json()["title"].as_str().expect("text").is_empty());
    }
}

#[tokio::test]
async fn a_write_that_has_begun_goes_on_when_its_client_leaves() {
    let host = super::host();
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (gate, tell) = (Arc::clone(&go_on), Arc::clone(&done));
    run(&host, move |_, out| {
        let (gate, tell) = (Arc::clone(&gate), Arc::clone(&tell));
        async move {
            tokio::select! {
                () = gate.notified() => tell.notify_one(),
                () = out.cancelled() => {}
            }
            Ok(json!({}))
        }
    });
    let world = super::serve(host, json!({})).await;
    let mut client = world.client().await;
    let head = world.head("POST /v1/things", "Content-Type: application/json\r\nContent-Length: 14\r\n");
    client.write(format!("{head}{{\"name\":\"one\"}}").as_bytes()).await;
    until("the op runs", || world.inputs().len() == 1).await;
    drop(client);
    world.number_is("dispatch_http_connections", 0).await;
    // The op is still awaited: a drain would wait for it.
    world.number_is("dispatch_http_requests_in_flight", 1).await;
    go_on.notify_one();
    tokio::time::timeout(super::PATIENCE, done.notified()).await.expect("it was not cancelled");
}

#[tokio::test]
async fn ops_that_come_later_are_routes_too() {
    let host = super::host();
    let world = super::serve(host, json!({})).await;
    assert_eq!(world.get("/v1/late").await.status, 404);
    world.host.on("op.v1/list", |_| {
        let mut ops = super::ops();
        ops.push(super::op("late.get", "GET", "/v1/late", "read", json!({}), json!([])));
        ops.push(super::op("late.twin", "GET", "/v1/late", "read", json!({}), json!([])));
        ops.push(super::op("late.bad", "GET", "late", "read", json!({}), json!([])));
        Ok(json!({ "ops": ops }))
    });
    let begun = std::time::Instant::now();
    while world.get("/v1/late").await.status != 200 {
        assert!(begun.elapsed() < super::PATIENCE);
    }
    assert_eq!(world.get("/v1/late").await.json()["op"], "late.get");
    // A list that cannot be had changes nothing.
    world.host.on("op.v1/list", |_| Err(Fault::new("unavailable", "not now")));
    until("it was asked for", || world.host.calls_of("op.v1/list").len() >= 2).await;
    assert_eq!(world.get("/v1/late").await.status, 200);
}
