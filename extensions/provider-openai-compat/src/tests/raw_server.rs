//! Answers that the fake LLM cannot give: the server sends these bytes and closes the connection.

use super::{open, params, read_fault, stream, text};
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::{FaultClass, Finish, StreamReply};
use dispatch_testkit::Opened;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that gives request n answer n, and the last one again and again.
pub(super) struct RawServer {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawServer {
    pub(super) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read_request(&mut socket).await else { continue };
                let n_before = {
                    let mut seen = seen.lock().expect("no test panics here");
                    seen.push(request);
                    seen.len() - 1
                };
                let answer = &answers[n_before.min(answers.len() - 1)];
                socket.write_all(answer.as_bytes()).await.expect("the client reads");
            }
        });
        Self { address, requests }
    }

    /// Head and body of every request.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics here").clone()
    }
}

/// An answer with this status and content type.
pub(super) fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}")
}

/// A stream that says `a`.
pub(super) fn good_stream() -> String {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    answer("200 OK\r\ncontent-type: text/event-stream", body)
}

/// `None` for a connection that asks for nothing.
async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut n_whole = None;
    while n_whole.is_none_or(|n| bytes.len() < n) {
        if socket.read_buf(&mut bytes).await.expect("a request") == 0 {
            return None;
        }
        // The head is looked for once: bodies may have megabytes.
        if n_whole.is_none()
            && let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            n_whole = Some(at + 4 + length.map_or(0, |length| length.parse().expect("a number")));
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

async fn open_for(head: &str, body: &str) -> Opened {
    let server = RawServer::start(vec![answer(head, body)]).await;
    open(json!({ "base_url": format!("http://{}", server.address), "model": "m" })).await
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_as_well() {
    let body = json!({ "choices": [{ "message": { "content": "a" }, "finish_reason": "stop" }] }).to_string();
    let stream_body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    for body in [body.as_str(), stream_body] {
        let opened = open_for("200 OK\r\ncontent-type: Application/JSON; charset=utf-8", body).await;
        let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
        let expected = StreamReply { finish: Finish::Stop, usage: None, model: String::new() };
        assert_eq!((frames, reply), (vec![text("a")], Ok(expected)));
    }
}

#[tokio::test]
async fn an_error_in_a_field_of_its_own_is_the_cause_and_not_the_missing_end() {
    let body = "error: {\"code\":400,\"message\":\"the request exceeds the available context size\"}\n\ndata: [DONE]\n\n";
    let opened = open_for("200 OK\r\ncontent-type: text/event-stream", body).await;
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::ContextOverflow);
    assert!(fault.message.ends_with("the request exceeds the available context size"), "{}", fault.message);
}

#[tokio::test]
async fn a_web_page_and_a_redirect_say_that_the_address_is_wrong() {
    let opened = open_for("200 OK\r\ncontent-type: text/html", "<html>").await;
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::BadRequest);
    assert_eq!(fault.message, "the endpoint answered a web page, no stream; check `base_url`");
    let opened = open_for("308 Moved\r\nlocation: https://elsewhere/v1", "").await;
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!((detail.class, detail.http_status), (FaultClass::BadRequest, Some(308)));
    let expected = "the endpoint answered HTTP 308 and sends to `https://elsewhere/v1`; \
        set `base_url` to the address where it is";
    assert_eq!(fault.message, expected);
}

#[tokio::test]
async fn a_connection_that_closes_before_the_answer_says_nothing_of_the_endpoint() {
    let opened = open_for("", "").await;
    let (_, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::Unreachable);
}
