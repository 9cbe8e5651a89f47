//! Endpoints that were never reached, that cannot be, and that are gone after they were.

use super::{INSTANCE, OpenAiCompat, open, params, read_fault, stream};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{Reload, ReloadParams};
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_testkit::fake_llm::{Action, FakeLlm, Rule, Script};
use dispatch_testkit::{FakeHost, Opened};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// An address of loopback where nobody listens.
fn closed_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback")
}

async fn at(base_url: &str) -> Opened {
    open(json!({ "base_url": base_url, "model": "m" })).await
}

async fn fault(opened: &Opened) -> (Fault, FaultClass) {
    let (fault, detail) = read_fault(stream(opened, &params(&[Message::user("hi")])).await.1);
    (fault, detail.class)
}

#[tokio::test]
async fn where_nobody_ever_answered_is_unreachable_and_says_what_to_look_at() {
    for scheme in ["http", "https"] {
        let base_url = format!("{scheme}://{}/v1", closed_address());
        let (fault, class) = fault(&at(&base_url).await).await;
        assert_eq!(class, FaultClass::Unreachable);
        let told = "; nothing was ever heard from it: check `base_url` of `provider-openai-compat`, the network, \
            and whether the server runs";
        assert!(fault.message.starts_with("no answer from `http"), "{}", fault.message);
        assert!(fault.message.ends_with(told), "{}", fault.message);
    }
}

#[tokio::test]
async fn an_endpoint_that_answered_once_may_answer_again() {
    // An error is an answer as well.
    for answer in [vec![Action::text("a")], vec![Action::http_error(503)]] {
        let mut script = Script::rules(vec![Rule::always(answer)]);
        script.keep_alive = false;
        let fake = FakeLlm::start(script);
        let opened = at(&fake.base_url()).await;
        let _ = stream(&opened, &params(&[Message::user("hi")])).await;
        assert_eq!(fake.n_requests(), 1);
        drop(fake);
        assert_eq!(fault(&opened).await.1, FaultClass::Connect);
    }
}

#[tokio::test]
async fn what_is_known_of_an_endpoint_outlasts_a_change_of_the_model() {
    let mut script = Script::rules(vec![Rule::always(vec![Action::text("a")])]);
    script.keep_alive = false;
    let fake = FakeLlm::start(script);
    let host = FakeHost::new();
    host.on("kernel.v1/update", |_| Ok(json!({})));
    let config = |model: &str| json!({ "base_url": fake.base_url(), "model": model });
    let opened = host.open::<OpenAiCompat>(INSTANCE, config("m")).await.expect("a good configuration");
    let _ = stream(&opened, &params(&[Message::user("hi")])).await;
    opened.call(Reload, &ReloadParams { config: config("n") }).await.expect("it holds");
    let elsewhere = json!({ "base_url": format!("http://{}/v1", closed_address()), "model": "n" });
    drop(fake);
    assert_eq!(fault(&opened).await.1, FaultClass::Connect, "it answered once");
    opened.call(Reload, &ReloadParams { config: elsewhere }).await.expect("it holds");
    assert_eq!(fault(&opened).await.1, FaultClass::Unreachable, "of another one nothing is known");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_wrong_endpoint() {
    let (fault, class) = fault(&at("http://no-such-host.invalid/v1").await).await;
    // A machine without a resolver cannot know that the name does not exist.
    if !fault.message.contains("emporary") {
        assert_eq!(class, FaultClass::WrongEndpoint, "{}", fault.message);
    }
    assert!(fault.message.contains("check `base_url` of `provider-openai-compat`"), "{}", fault.message);
}

#[tokio::test]
async fn a_server_without_tls_is_a_wrong_endpoint() {
    let fake = FakeLlm::start(Script::default());
    let (fault, class) = fault(&at(&format!("https://{}/v1", fake.address())).await).await;
    assert_eq!(class, FaultClass::WrongEndpoint, "{}", fault.message);
    assert!(fault.message.contains("`http://`"), "{}", fault.message);
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_a_wrong_endpoint() {
    let address = serve_tls();
    let (fault, class) = fault(&at(&format!("https://localhost:{}/v1", address.port())).await).await;
    assert_eq!(class, FaultClass::WrongEndpoint, "{}", fault.message);
    assert!(fault.message.contains("SSL_CERT_FILE"), "{}", fault.message);
}

/// A server whose certificate is its own work; it begins the handshake with everybody who comes.
fn serve_tls() -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("own_certificate.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("own_certificate.pem")).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .expect("a good pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a good configuration");
            // The client ends it: that is what is tested.
            while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
        }
    });
    address
}
