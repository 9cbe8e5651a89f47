//! The server starts, counts, waits and ends.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::log::Log;
use super::super::{FakeLlm, RECORDED_BYTES_MAX, REQUESTS_MAX, Recorded, Script};
use super::client::{Client, End};
use super::{SOON, ask, text};

#[test]
fn a_request_is_recorded_as_it_came() {
    let fake = FakeLlm::start(Script::default());
    let before_ns = fake.now_ns();
    let body = ask("fake-echo", "hello");
    Client::connect(&fake).post(&body);
    let requests = fake.requests();
    let [request] = requests.as_slice() else {
        panic!("one request was sent: {requests:?}");
    };
    let told = (request.method.as_str(), request.path.as_str());
    assert_eq!(told, ("POST", "/v1/chat/completions"));
    assert_eq!((&request.body, request.body_bytes), (&body, body.to_string().len()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.messages(), [json!({"role": "user", "content": "hello"})]);
    assert!((before_ns..=fake.now_ns()).contains(&request.at_ns));
    assert_eq!(request.refused, None);
}

#[test]
fn only_the_latest_requests_are_kept_and_all_are_counted() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    for idx in 0..REQUESTS_MAX + 2 {
        client.get(&format!("/v1/models?{idx}"));
    }
    let requests = fake.requests();
    assert_eq!((requests.len(), fake.n_requests()), (REQUESTS_MAX, REQUESTS_MAX + 2));
    assert_eq!(requests[0].path, "/v1/models?2");
}

#[test]
fn large_bodies_push_older_requests_out() {
    let log = Log::new();
    for (path, body_bytes) in [
        ("/a", RECORDED_BYTES_MAX / 2),
        ("/b", RECORDED_BYTES_MAX / 2),
        ("/c", 1),
        ("/d", RECORDED_BYTES_MAX + 1),
    ] {
        log.record(Recorded {
            method: "POST".into(),
            path: path.into(),
            headers: Vec::new(),
            body: Value::Null,
            body_bytes,
            at_ns: 0,
            refused: None,
        });
        let kept: Vec<String> = log.requests().into_iter().map(|r| r.path).collect();
        let expected: &[&str] = match path {
            "/a" => &["/a"],
            "/b" => &["/a", "/b"],
            "/c" => &["/b", "/c"],
            _ => &["/d"],
        };
        assert_eq!(kept, expected);
    }
}

#[test]
fn a_connection_is_kept_unless_one_side_closes_it() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    for _ in 0..3 {
        assert_eq!(text(&client.post(&ask("fake-text-1", "x"))), "w0 ");
    }
    assert_eq!(fake.open_connections(), 1);
    fake.block_on(fake.await_no_answers(SOON));
    client.send(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("close"));
    assert_eq!(client.response().end, End::Closed);
    fake.block_on(fake.await_no_connections(SOON));

    let closing = FakeLlm::start(Script { keep_alive: false, ..Script::default() });
    let mut client = Client::connect(&closing);
    client.get("/v1/models");
    assert_eq!(client.response().end, End::Closed);
}

#[test]
fn a_request_may_come_in_chunks_after_a_go_ahead() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    client.read_until("HTTP/1.1 100 Continue\r\n\r\n");
    let body = ask("fake-echo", "in pieces").to_string();
    let (first, second) = body.split_at(10);
    client.send(format!("a\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n", second.len()).as_bytes());
    client.skip_head();
    assert_eq!(text(&client.response()), "in pieces");
}

#[test]
fn what_is_not_a_request_is_answered_and_ended() {
    let fake = FakeLlm::start(Script::default());
    let status_of = |bytes: &[u8]| {
        let mut client = Client::connect(&fake);
        client.send(bytes);
        let status = client.response().status;
        assert_ne!(client.response().end, End::Whole);
        status
    };
    assert_eq!(status_of(b"\0\0\0\r\n\r\n"), 400);
    assert_eq!(status_of(b"GET /v1/models HTTP/1.0\r\n\r\n"), 505);
    assert_eq!(status_of(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), 400);
    assert_eq!(status_of(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
    assert_eq!(status_of(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n"), 413);
    assert_eq!(status_of(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"), 400);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(status_of(many.as_bytes()), 431);
    let long = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(64 * 1024));
    assert_eq!(status_of(long.as_bytes()), 431);
    assert_eq!(fake.n_requests(), 0);
}

#[test]
fn a_wrong_address_or_method_or_key_or_body_is_refused() {
    let fake = FakeLlm::start(Script { api_key: Some("k".into()), ..Script::default() });
    let mut client = Client::connect(&fake);
    assert_eq!(client.get("/v2").status, 404);
    assert_eq!(client.get("/v1/chat/completions").status, 405);
    assert_eq!(client.get("/v1/models").status, 401);
    client.send(b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client
        .send(b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Length: 1\r\n\r\n{");
    assert_eq!(client.response().status, 400);
    assert_eq!(fake.requests()[4].body, Value::Null);
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n{}",
    );
    let error = client.response().json()["error"]["message"].to_string();
    assert!(error.contains("not `application/json`"), "{error}");
}

#[test]
fn a_dropped_server_closes_its_sockets_and_its_port() {
    let fake = FakeLlm::start(Script::default());
    let address = fake.address();
    let mut client = Client::connect(&fake);
    client.send_json(&ask("fake-stall", "x"));
    client.read_until("\r\n\r\n");
    drop(fake);
    assert_ne!(client.response().end, End::Whole);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_port_that_others_could_reach_is_refused() {
    let error = FakeLlm::start_at(([0, 0, 0, 0], 0).into(), Script::default());
    let error = error.err().unwrap().to_string();
    assert!(error.contains("`0.0.0.0:0` is not an address of loopback"), "{error}");
}

#[test]
#[should_panic(expected = "for 2 requests, 1 came: [\"GET /v1/models\"]")]
fn a_wait_in_vain_says_what_came() {
    let fake = FakeLlm::start(Script::default());
    Client::connect(&fake).get("/v1/models");
    fake.block_on(fake.await_requests(2, Duration::from_millis(20)));
}

#[test]
#[should_panic(expected = "1 sockets are still open after 20ms, 1 of them in an answer")]
fn a_socket_that_stays_open_is_told() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    client.send_json(&ask("fake-stall", "x"));
    fake.block_on(fake.await_requests(1, SOON));
    fake.block_on(fake.await_no_connections(Duration::from_millis(20)));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_wait_does_not_follow_the_callers_paused_clock() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    // Sent from elsewhere and late: a timeout on the caller's clock would be over at once.
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        client.get("/v1/models").status
    });
    let requests = fake.await_requests(1, SOON).await;
    assert_eq!(requests[0].path, "/v1/models");
    assert_eq!(sender.join().unwrap(), 200);
}
