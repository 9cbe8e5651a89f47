//! Answers that the fake LLM cannot give: the server sends these bytes to every connection and closes it.

use super::{open, params, read_fault, stream, text};
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::{FaultClass, Finish, StreamReply};
use dispatch_testkit::Opened;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

async fn open_for(head: &str, body: &str) -> Opened {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            // One read is enough: the requests here are small, and the client has sent them before it reads.
            let n_bytes = socket.read(&mut request).await.expect("a request");
            assert!(n_bytes > 0, "the client closed without asking");
            socket.write_all(answer.as_bytes()).await.expect("the client reads");
        }
    });
    open(json!({ "base_url": format!("http://{address}"), "model": "m" })).await
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
