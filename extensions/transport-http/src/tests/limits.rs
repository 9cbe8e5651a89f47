//! Connections and requests that are too large, too slow, too many, or nonsense.

use super::{host, run, serve, until, world};
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let world = world(json!({ "body_bytes_max": 1_000 })).await;
    let mut client = world.client().await;
    // No byte of the body is ever sent.
    let head = world.head("POST /v1/things", &format!("{JSON}Content-Length: 1000000000\r\n"));
    let refused = client.ask(&head).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    client.closed().await;
    // Nor is the client told to send it.
    let mut client = world.client().await;
    let lines = format!("{JSON}Content-Length: 1000000000\r\nExpect: 100-continue\r\n");
    let refused = client.ask(&world.head("POST /v1/things", &lines)).await;
    assert_eq!(refused.status, 413);
    let mut client = world.client().await;
    let unknown = format!("POST /v1/things HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", world.address);
    assert_eq!(client.ask(&unknown).await.status, 401);
    assert!(world.inputs().is_empty());
}

#[tokio::test]
async fn a_body_in_chunks_is_bounded_as_it_comes() {
    let world = world(json!({ "body_bytes_max": 1_000 })).await;
    let mut client = world.client().await;
    let head = world.head("POST /v1/things", &format!("{JSON}Transfer-Encoding: chunked\r\n"));
    client.write(head.as_bytes()).await;
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    client.write(chunk.repeat(3).as_bytes()).await;
    let refused = client.response(false).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    // A client that still sends reads its answer and then the end, not a reset.
    client.closed().await;
    let fits = format!("{{\"name\":\"{}\"}}", "x".repeat(980));
    assert_eq!(world.send("POST /v1/things", &fits).await.status, 201);
    let exact = format!("{{\"name\":\"{}\"}}", "x".repeat(1_000 - 11));
    assert_eq!((exact.len(), world.send("POST /v1/things", &exact).await.status), (1_000, 201));
    let more = format!("{{\"name\":\"{}\"}}", "x".repeat(1_001 - 11));
    assert_eq!(world.send("POST /v1/things", &more).await.status, 413);
}

/// What JSON makes of a text if it escapes each of its bytes.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect()
}

#[tokio::test]
async fn the_largest_input_of_a_turn_passes_however_it_is_escaped() {
    let world = world(json!({})).await;
    let text = "y".repeat(INPUT_BYTES_MAX);
    let made = world.send("POST /v1/things", &format!("{{\"name\":\"{}\"}}", escaped(&text))).await;
    assert_eq!(made.status, 201, "{:?}", String::from_utf8_lossy(&made.body));
    let inputs = world.inputs();
    assert!(inputs[0]["name"] == text.as_str(), "it is the same text");
}

#[tokio::test]
async fn a_client_that_writes_a_body_beyond_the_bound_to_its_end_reads_why_it_was_refused() {
    let world = world(json!({ "body_bytes_max": 1_000_000 })).await;
    let body = "x".repeat(30_000_000);
    for lines in [format!("Content-Length: {}\r\n", body.len()), "Transfer-Encoding: chunked\r\n".to_owned()]
    {
        let mut client = world.client().await;
        client.write(world.head("POST /v1/things", &format!("{JSON}{lines}")).as_bytes()).await;
        let body = if lines.starts_with('T') {
            format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        } else {
            body.clone()
        };
        client.write(body.as_bytes()).await;
        let refused = client.response(false).await;
        assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
        let detail = refused.json()["detail"].as_str().expect("a text").to_owned();
        assert!(detail.contains("1000000 bytes") && detail.contains("`body_bytes_max`"), "{detail}");
    }
}

#[tokio::test]
async fn a_body_that_drips_is_refused_in_time() {
    let world = world(json!({ "body_read_ms": 100 })).await;
    let mut client = world.client().await;
    client.write(world.head("POST /v1/things", &format!("{JSON}Content-Length: 100\r\n")).as_bytes()).await;
    client.write(b"{\"name\":").await;
    let refused = client.response(false).await;
    assert_eq!((refused.status, refused.code().as_str()), (408, "body_timeout"));
    client.closed().await;
    assert!(world.inputs().is_empty());
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_drips_its_head_is_closed_in_time() {
    let world = world(json!({ "header_read_ms": 100, "keep_alive_ms": 60_000 })).await;
    let begun = Instant::now();
    let mut silent = world.client().await;
    assert!(silent.closed().await.is_empty());
    let mut dripping = world.client().await;
    let head = world.head("GET /livez", "");
    for byte in head.as_bytes() {
        if dripping.try_write(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    dripping.closed().await;
    // The head of the second request has no longer than that of the first.
    let mut second = world.client().await;
    assert_eq!(second.ask(&head).await.status, 200);
    second.write(b"GET /liv").await;
    assert!(second.closed().await.is_empty());
    assert!(begun.elapsed().as_secs() < 5);
    world.number_is("dispatch_http_connections", 0).await;
}

#[tokio::test]
async fn a_connection_without_a_further_request_is_closed_in_time() {
    let world = world(json!({ "header_read_ms": 60_000, "keep_alive_ms": 100 })).await;
    let mut client = world.client().await;
    assert_eq!(client.ask(&world.head("GET /livez", "")).await.status, 200);
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_request_that_takes_long_is_no_idle_connection() {
    let host = host();
    let go_on = Arc::new(Notify::new());
    let gate = Arc::clone(&go_on);
    run(&host, move |_, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(json!({}))
        }
    });
    let times =
        json!({ "header_read_ms": 50, "keep_alive_ms": 50, "body_read_ms": 50, "write_deadline_ms": 50 });
    let world = serve(host, times).await;
    let mut client = world.client().await;
    client.write(world.head("GET /v1/things/1", "").as_bytes()).await;
    until("the op runs", || world.inputs().len() == 1).await;
    // A connection that came later is closed for its silence, so that much time has passed.
    world.client().await.closed().await;
    world.client().await.closed().await;
    go_on.notify_one();
    assert_eq!(client.response(false).await.status, 200);
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_in_number() {
    let world = world(json!({})).await;
    let many = "x: y\r\n".repeat(100_000);
    let mut client = world.client().await;
    let head = world.head("GET /livez", &many);
    // It is closed before it has sent all of that.
    let _ = client.try_write(head.as_bytes()).await;
    let answer = client.closed().await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    for (lines, expected) in [
        ("x: y\r\n".repeat(90), 200),
        ("x: y\r\n".repeat(101), 431),
        (format!("x: {}\r\n", "y".repeat(20 * 1024)), 200),
        (format!("x: {}\r\n", "y".repeat(40 * 1024)), 431),
    ] {
        assert_eq!(world.ask("GET /livez", &lines, "").await.status, expected, "{}", lines.len());
    }
    let long = format!("GET /livez?{}", "x".repeat(30 * 1024));
    assert_eq!(world.ask(&long, "", "").await.status, 200);
    assert!(world.inputs().is_empty());
}

#[tokio::test]
async fn nonsense_is_answered_400_or_closed_and_runs_nothing() {
    let world = world(json!({})).await;
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /livez HTTP/1.1\nHost localhost\n\n",
        "GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "POST /v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST /v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /v1/things HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut client = world.client().await;
        client.write(nonsense.as_bytes()).await;
        client.finish().await;
        let answer = String::from_utf8_lossy(&client.closed().await).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{nonsense:?}: {answer}");
    }
    assert!(world.inputs().is_empty());
    assert_eq!(world.get("/v1/things/1").await.status, 200);
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_order() {
    let world = world(json!({})).await;
    let mut client = world.client().await;
    let all: String = (0..50).map(|n| world.head(&format!("GET /v1/things/{n}"), "")).collect();
    client.write(all.as_bytes()).await;
    for n in 0..50 {
        let response = client.response(false).await;
        assert_eq!(response.json()["input"]["thing_id"], n.to_string());
    }
}

#[tokio::test]
async fn extensions_of_chunks_are_passed_over_and_bounded() {
    let world = world(json!({})).await;
    let lines = format!("{JSON}Transfer-Encoding: chunked\r\n");
    let body = "e;a=b;c=\"d\"\r\n{\"name\":\"one\"}\r\n0\r\nX-Trailer: 1\r\n\r\n";
    assert_eq!(world.ask("POST /v1/things", &lines, body).await.status, 201);
    let endless = format!("e;{}\r\n", "a".repeat(64 * 1024));
    let mut client = world.client().await;
    let _ = client.try_write(format!("{}{endless}", world.head("POST /v1/things", &lines)).as_bytes()).await;
    let answer = client.closed().await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(world.inputs().len(), 1);
}

#[tokio::test]
async fn one_connection_too_many_is_answered_503_and_closed() {
    let world = world(json!({ "connections_max": 2 })).await;
    let mut first = world.client().await;
    assert_eq!(first.ask(&world.head("GET /livez", "")).await.status, 200);
    let mut second = world.client().await;
    assert_eq!(second.ask(&world.head("GET /livez", "")).await.status, 200);
    let refused = world.client().await.closed().await;
    assert!(refused.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&refused));
    assert_eq!(world.number("dispatch_http_connections_refused_total").await, 1);
    drop(first);
    world.number_is("dispatch_http_connections", 1).await;
    assert_eq!(world.get("/v1/things/1").await.status, 200);
    assert_eq!(second.ask(&world.head("GET /livez", "")).await.status, 200);
}
