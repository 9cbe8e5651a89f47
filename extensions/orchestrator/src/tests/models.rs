//! `turns.v1/models`.

use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{Models, ModelsParams};
use serde_json::json;

#[tokio::test]
async fn a_provider_that_cannot_be_asked_says_why_and_the_others_answer() {
    let world = World::new().await;
    world.providers(json!([
        { "name": "one", "ready": true },
        { "name": "keyless", "ready": false, "reason": "`KEY` is not set" },
        { "name": "broken", "ready": true },
    ]));
    world.host.on("provider.v1/models#one", |_| Ok(json!({ "models": [{ "id": "m-1" }] })));
    world.host.on("provider.v1/models#broken", |_| Err(Fault::new("connect", "nobody listens there")));
    let reply = world.ext().call(Models, &ModelsParams::default()).await.expect("it answers");
    let told: Vec<_> = reply
        .providers
        .iter()
        .map(|p| (p.provider.name.as_str(), p.models.len(), p.fault.as_str()))
        .collect();
    assert_eq!(
        told,
        [("one", 1, ""), ("keyless", 0, "`KEY` is not set"), ("broken", 0, "nobody listens there")]
    );
    let unknown = ModelsParams { provider: Some("nobody".to_owned()) };
    let fault = world.ext().call(Models, &unknown).await.expect_err("there is none");
    assert_eq!(fault.code, "not_found");
}
