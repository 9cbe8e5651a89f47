//! Images of a history, from where they are kept to the endpoint.

use super::raw_server::{RawServer, answer, good_stream};
use super::{INSTANCE, params, stream, text};
use crate::OpenAiCompat;
use crate::images::REQUEST_IMAGES_BYTES_MAX;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::message::{ImageSource, Message, Part, Role};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

fn image(hash: &str) -> Part {
    let source = ImageSource::Blob { hash: hash.to_owned() };
    Part::Image { source, media_type: "image/png".to_owned() }
}

fn user(parts: Vec<Part>) -> Message {
    Message { role: Role::User, parts }
}

async fn open_at(server: &RawServer, host: &FakeHost) -> Opened {
    let config = json!({ "base_url": format!("http://{}/v1", server.address), "model": "m" });
    host.open::<OpenAiCompat>(INSTANCE, config).await.expect("a good configuration")
}

fn content(server: &RawServer, n: usize) -> Value {
    let requests = server.requests();
    let body = requests[n].split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str::<Value>(body).expect("JSON")["messages"][1]["content"].clone()
}

fn shown(data: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{data}") } })
}

#[tokio::test]
async fn an_image_is_asked_for_once_and_shown_as_its_bytes() {
    let server = RawServer::start(vec![good_stream()]).await;
    let host = FakeHost::new();
    host.on("conversations.v1/blob", |params| match params["hash"].as_str() {
        Some("a") => Ok(json!({ "data": "aGVsbG8=" })),
        _ => Err(Fault::new("not_found", "no such blob")),
    });
    let opened = open_at(&server, &host).await;
    let (frames, reply) =
        stream(&opened, &params(&[user(vec![image("a"), image("a"), image("gone")])])).await;
    assert!(frames == [text("a")] && reply.is_ok(), "{reply:?}");
    let gone = json!({ "type": "text", "text": "[an image, which is not kept any more]" });
    assert_eq!(content(&server, 0), json!([gone, shown("aGVsbG8="), shown("aGVsbG8=")]));
    assert_eq!(host.calls_of("conversations.v1/blob").len(), 2);
}

#[tokio::test]
async fn a_request_with_images_that_is_refused_is_sent_again_in_words() {
    let said = "Model does not support image input";
    let head = "404 Not Found\r\ncontent-type: application/json";
    let refusal = answer(head, &json!({ "error": { "message": said } }).to_string());
    let server = RawServer::start(vec![refusal, good_stream()]).await;
    let host = FakeHost::new();
    host.on("conversations.v1/blob", |_| Ok(json!({ "data": "aGVsbG8=" })));
    let opened = open_at(&server, &host).await;
    let (_, reply) = stream(&opened, &params(&[user(vec![image("a")])])).await;
    reply.expect("an answer");
    assert_eq!(content(&server, 0), json!([shown("aGVsbG8=")]));
    assert_eq!(content(&server, 1), json!("[an image, which this model cannot be shown]"));
}

#[tokio::test]
async fn of_too_many_images_the_newest_are_shown() {
    let server = RawServer::start(vec![good_stream()]).await;
    let host = FakeHost::new();
    host.on("conversations.v1/blob", |params| {
        let letter = params["hash"].as_str().unwrap_or_default().to_owned();
        Ok(json!({ "data": letter.repeat(REQUEST_IMAGES_BYTES_MAX / 4 + 1) }))
    });
    let opened = open_at(&server, &host).await;
    let history = [user(["A", "B", "C", "D"].map(image).into())];
    stream(&opened, &params(&history)).await.1.expect("an answer");
    let content = content(&server, 0);
    let pieces = content.as_array().expect("a list");
    assert_eq!(pieces[0]["text"], "[an image, which there was no room to show again]");
    let newest = |piece: &Value| piece["image_url"]["url"].as_str().expect("an address")[22..23].to_owned();
    assert_eq!(pieces[1..].iter().map(newest).collect::<String>(), "BCD");
}

#[tokio::test]
async fn a_keeper_that_cannot_answer_now_is_a_fault_and_no_blind_request() {
    let server = RawServer::start(vec![good_stream()]).await;
    let host = FakeHost::new();
    host.on("conversations.v1/blob", |_| Err(Fault::new("overloaded", "busy")));
    let opened = open_at(&server, &host).await;
    let fault = stream(&opened, &params(&[user(vec![image("a")])])).await.1.expect_err("not now");
    assert_eq!(fault.code, "overloaded");
    assert_eq!(server.requests(), Vec::<String>::new());
}
