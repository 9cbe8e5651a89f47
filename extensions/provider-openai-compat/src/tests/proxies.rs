//! A proxy of the configuration between the host and its endpoint. That of the environment is told as a story, because a
//! test cannot change its own.

use super::raw_server::{RawServer, answer, good_stream};
use super::{open, params, read_fault, stream, text};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::Check;
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::FaultClass;
use serde_json::json;

#[tokio::test]
async fn requests_go_through_the_proxy_of_the_configuration() {
    let proxy = RawServer::start(vec![good_stream()]).await;
    let config = json!({
        "base_url": "http://model.example/v1", "model": "m",
        "proxy": format!("http://someone:hush-hush@{}", proxy.address),
    });
    let opened = open(config).await;
    let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    assert!(frames == [text("a")] && reply.is_ok(), "{reply:?}");
    let head = proxy.requests()[0].to_ascii_lowercase();
    assert!(head.starts_with("post http://model.example/v1/chat/completions http/1.1\r\n"), "{head}");
    // someone:hush-hush
    assert!(head.contains("proxy-authorization: basic c29tzw9uztpodxnolwh1c2g=\r\n"), "{head}");
    let checks = opened.call(Check, &Empty {}).await.expect("checks").checks;
    let summary = format!(
        "`127.0.0.1` port {} (the proxy in front of `model.example`) takes connections",
        proxy.address.port()
    );
    assert_eq!(checks.last().map(|check| check.summary.as_str()), Some(summary.as_str()));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let proxy = RawServer::start(vec![answer("403 Forbidden", "")]).await;
    let at = format!("http://someone:hush-hush@{}", proxy.address);
    let opened = open(json!({ "base_url": "https://model.example/v1", "model": "m", "proxy": at })).await;
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::Unreachable);
    assert!(proxy.requests()[0].starts_with("CONNECT model.example:443 HTTP/1.1\r\n"));
    let told =
        format!("no answer from `https://model.example` through the proxy `http://{}`: ", proxy.address);
    assert!(fault.message.starts_with(&told), "{}", fault.message);
    assert!(fault.message.contains("check `proxy` of the instance"), "{}", fault.message);
    assert!(!fault.message.contains("hush") && !fault.message.contains("someone"), "{}", fault.message);

    let proxy =
        RawServer::start(vec![answer("407 Proxy Authentication Required", "who is hush-hush?")]).await;
    let at = format!("http://someone:hush-hush@{}", proxy.address);
    let opened = open(json!({ "base_url": "http://model.example/v1", "model": "m", "proxy": at })).await;
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::Auth);
    assert!(fault.message.contains("who is [secret]?; check `proxy` of the instance"), "{}", fault.message);
}

#[tokio::test]
async fn an_endpoint_on_this_machine_is_never_asked_through_a_proxy() {
    let proxy = RawServer::start(vec![answer("403 Forbidden", "")]).await;
    let endpoint = RawServer::start(vec![good_stream()]).await;
    for host in ["127.0.0.1", "localhost"] {
        let base_url = format!("http://{host}:{}/v1", endpoint.address.port());
        let config =
            json!({ "base_url": base_url, "model": "m", "proxy": format!("http://{}", proxy.address) });
        let (frames, reply) = stream(&open(config).await, &params(&[Message::user("hi")])).await;
        assert!(frames == [text("a")] && reply.is_ok(), "{reply:?}");
    }
    assert_eq!((proxy.requests().len(), endpoint.requests().len()), (0, 2));
}
