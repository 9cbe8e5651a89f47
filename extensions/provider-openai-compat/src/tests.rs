//! The provider on a fake host against the fake LLM over HTTP.

use super::OpenAiCompat;
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::{
    ProviderFault, ProviderSpec, Stream, StreamFrame, StreamParams, StreamReply,
};
use dispatch_sdk::{Contributions, Fault};
use dispatch_testkit::fake_llm::{Action, FakeLlm, Script};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};
use std::time::Duration;

mod checks;
mod faults;
mod images;
mod proxies;
mod raw_server;
mod reaching;
mod reloading;
mod turns;
mod ways;

const INSTANCE: &str = "provider-openai-compat";
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

async fn open(config: Value) -> Opened {
    FakeHost::new().open::<OpenAiCompat>(INSTANCE, config).await.expect("a good configuration")
}

/// An instance for a server that runs this script.
async fn open_for(script: Script, more: Value) -> (FakeLlm, Opened) {
    let fake = FakeLlm::start(script);
    let mut config = json!({ "base_url": fake.base_url(), "model": "m-1", "idle_timeout_ms": 5_000 });
    for (key, value) in more.as_object().expect("keys and values") {
        config[key] = value.clone();
    }
    (fake, open(config).await)
}

fn params(messages: &[Message]) -> StreamParams {
    let raw = |message| serde_json::value::to_raw_value(message).expect("a message is JSON");
    StreamParams {
        model: String::new(),
        system: "be brief".into(),
        messages: messages.iter().map(raw).collect(),
        tools: Vec::new(),
        output_tokens_max: None,
        temperature: None,
    }
}

/// One stream to its end, neighbouring text joined.
async fn stream(opened: &Opened, params: &StreamParams) -> (Vec<StreamFrame>, Result<StreamReply, Fault>) {
    let (frames, reply) = opened.stream_named(Stream, "openai-compat", params).finish().await;
    let mut joined: Vec<StreamFrame> = Vec::new();
    for frame in frames {
        match (joined.last_mut(), &frame) {
            (Some(StreamFrame::TextDelta { text }), StreamFrame::TextDelta { text: more }) => {
                text.push_str(more)
            }
            _ => joined.push(frame),
        }
    }
    (joined, reply)
}

/// What a script's first answer ends with.
async fn fault_of(answer: Vec<Action>, more: Value) -> (Fault, ProviderFault) {
    let (_fake, opened) = open_for(Script::steps(vec![answer]), more).await;
    read_fault(stream(&opened, &params(&[Message::user("hi")])).await.1)
}

fn read_fault(reply: Result<StreamReply, Fault>) -> (Fault, ProviderFault) {
    let fault = reply.expect_err("the answer is no good");
    let detail: ProviderFault = serde_json::from_value(fault.detail.clone()).expect("a provider's detail");
    assert_eq!(fault.code, detail.class.code());
    (fault, detail)
}

fn text(text: &str) -> StreamFrame {
    StreamFrame::TextDelta { text: text.into() }
}

#[tokio::test]
async fn a_key_alone_makes_it_ready_for_the_endpoint_that_the_wire_comes_from() {
    let opened = open(json!({ "api_key": "sk-test" })).await;
    assert!(opened.started().contributes.providers[0].ready);
}

#[tokio::test]
async fn without_an_endpoint_it_is_not_ready_and_says_what_to_set() {
    let opened = open(json!({})).await;
    let reason = "set a key of https://api.openai.com/v1: OPENAI_API_KEY (read by the default build) or \
        DISPATCH_SET__PROVIDER_OPENAI_COMPAT__API_KEY; or another endpoint: \
        `--set provider-openai-compat.base_url=…` or DISPATCH_SET__PROVIDER_OPENAI_COMPAT__BASE_URL";
    let spec = ProviderSpec {
        name: "openai-compat".into(),
        ready: false,
        reason: reason.into(),
        default_model: String::new(),
        selectable: true,
        images: true,
    };
    let expected = Contributions { providers: vec![spec], ..Contributions::default() };
    assert_eq!(opened.started().contributes, expected);
    let (fault, _) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(fault.code, "bad_request");
    assert_eq!(fault.message, format!("`provider-openai-compat` has no endpoint; {reason}"));
}

#[tokio::test]
async fn an_instance_of_another_name_is_a_provider_of_that_name() {
    let config = json!({ "base_url": "http://127.0.0.1:1/v1/", "model": "m" });
    let opened =
        FakeHost::new().open::<OpenAiCompat>("openrouter", config).await.expect("a good configuration");
    let spec = ProviderSpec {
        name: "openrouter".into(),
        ready: true,
        reason: String::new(),
        default_model: "m".into(),
        selectable: true,
        images: true,
    };
    assert_eq!(opened.started().contributes.providers, [spec]);
}

#[tokio::test]
async fn a_wrong_configuration_names_its_key_and_shows_no_secret() {
    let cases = [
        (json!({ "base_urls": "x" }), "base_urls"),
        (json!({ "base_url": "api.example.com/v1" }), "`base_url` is no address"),
        (json!({ "base_url": "ftp://api.example.com" }), "`base_url` is no address of http or https"),
        (json!({ "base_url": "https://me:hush-hush@example.com" }), "`base_url` holds a user or a password"),
        (json!({ "api_key": "hush\nhush" }), "`api_key` holds a character"),
        (json!({ "headers": { "x y": "hush-hush" } }), "`headers.x y` is no name of a header"),
        (json!({ "idle_timeout_ms": 900_001 }), "`idle_timeout_ms` is 900001; it must be from 1 to 900000"),
        (json!({ "keepalive_timeout_ms": 0 }), "`keepalive_timeout_ms` is 0; it must be from 1 to 3600000"),
        (json!({ "proxy": "proxy.example:3128/hush" }), "`proxy` is no address of a proxy; write it as"),
        (json!({ "proxy": "ftp://hush@proxy.example" }), "`proxy` is no address of a proxy"),
        (
            json!({ "proxy": "http://hush hush" , "base_url": "http://[::1]/" }),
            "`proxy` is no address of a proxy",
        ),
        (json!({ "send_reasoning": "hush" }), "`send_reasoning` must be true, false or"),
        (json!({ "think_tags": "both" }), "unknown variant"),
        (json!({ "connect_timeout_ms": 0 }), "`connect_timeout_ms` is 0"),
        (json!({ "output_tokens_field": "tokens" }), "unknown variant `tokens`"),
    ];
    for (config, said) in cases {
        let opened = FakeHost::new().open::<OpenAiCompat>(INSTANCE, config.clone()).await;
        let fault = opened.map(|_| ()).expect_err("a wrong configuration");
        assert_eq!(fault.code, "invalid", "{config}");
        assert!(fault.message.contains(said) && fault.message.contains(INSTANCE), "{}", fault.message);
        assert!(!fault.message.contains("hush"), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_key_over_plain_http_to_another_machine_is_warned_of() {
    for (base_url, expected) in [
        ("http://10.1.2.3/v1", 1),
        ("http://[::1]:8080/v1", 0),
        ("http://localhost/v1", 0),
        ("https://a.b/v1", 0),
    ] {
        let opened = open(json!({ "base_url": base_url, "api_key": "k" })).await;
        let warnings = opened.host().logs().into_iter().filter(|log| log.level == 2).count();
        assert_eq!(warnings, expected, "{base_url}");
    }
}

dispatch_testkit::settings_test!(crate::config::Keys);
