//! A configuration that changes while the instance runs.

use super::raw_server::{RawServer, good_stream};
use super::{INSTANCE, OpenAiCompat, params, stream};
use dispatch_sdk::contracts::instance::{Reload, ReloadParams};
use dispatch_sdk::contracts::kernel::UpdateParams;
use dispatch_sdk::contracts::message::Message;
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn base_url_model_and_key_hold_from_the_next_request_on_and_the_kernel_is_told() {
    let (old, new) =
        (RawServer::start(vec![good_stream()]).await, RawServer::start(vec![good_stream()]).await);
    let at = |server: &RawServer| format!("http://{}/v1", server.address);
    let host = FakeHost::new();
    let told: Arc<Mutex<Vec<UpdateParams>>> = Arc::default();
    let tells = Arc::clone(&told);
    host.on("kernel.v1/update", move |params| {
        tells.lock().expect("no panic").push(serde_json::from_value(params.clone()).expect("contributions"));
        Ok(json!({}))
    });
    let config = json!({ "base_url": at(&old), "model": "m-1", "api_key": "key-number-1" });
    let opened = host.open::<OpenAiCompat>(INSTANCE, config).await.expect("a good configuration");
    stream(&opened, &params(&[Message::user("hi")])).await.1.expect("an answer");

    let config = json!({ "base_url": at(&new), "model": "m-2", "api_key": "key-number-2" });
    let reply = opened.call(Reload, &ReloadParams { config }).await.expect("it holds");
    assert_eq!(
        (reply.applied, reply.needs_restart),
        (vec!["api_key".into(), "base_url".into(), "model".into()], vec![])
    );
    stream(&opened, &params(&[Message::user("hi")])).await.1.expect("an answer");
    assert_eq!(old.requests().len(), 1);
    let request = new.requests().pop().expect("it came here");
    assert!(request.contains("Bearer key-number-2\r\n") && request.contains("\"m-2\""), "{request}");
    let spec = told.lock().expect("no panic").pop().expect("one update").contributes.providers.remove(0);
    assert_eq!((spec.ready, spec.default_model.as_str()), (true, "m-2"));

    for config in
        [json!({ "base_url": 7 }), json!({ "base_url": "x" }), json!({ "no_such_key": "hush-hush" })]
    {
        let fault = opened
            .call(Reload, &ReloadParams { config: config.clone() })
            .await
            .expect_err("it does not hold");
        assert_eq!(fault.code, "invalid", "{config}");
        assert!(!fault.message.contains("hush"), "{}", fault.message);
    }
    stream(&opened, &params(&[Message::user("hi")])).await.1.expect("the one before still holds");
    assert_eq!(new.requests().len(), 2);
}
