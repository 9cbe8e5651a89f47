//! Who answers a verb, and what the call is stamped with.

use super::toy::{Ask, Do, DoBriefly, Toy, Unserved, ask};
use crate::{FakeHost, Opened, RecordedCall};
use dispatch_contracts::{Empty, Fault};
use dispatch_sdk::Meta;
use serde_json::{Value, json};

async fn pair() -> (FakeHost, Opened) {
    let host = FakeHost::new();
    let toy = host.open::<Toy>("toy", json!({})).await.expect("it opens");
    (host, toy)
}

fn relay(act: &str, verb: &str, body: &Ask) -> Ask {
    Ask {
        act: act.into(),
        verb: verb.into(),
        body: serde_json::to_value(body).expect("it encodes"),
        ..Ask::default()
    }
}

#[tokio::test]
async fn a_verb_that_nobody_serves_is_no_service() {
    let (_host, toy) = pair().await;
    let fault =
        toy.call(Do, &relay("relay", "absent.v1/get", &ask("echo"))).await.expect_err("nobody serves it");
    assert_eq!(fault.code, "no_service");
}

#[tokio::test]
async fn a_verb_that_the_service_lacks_is_unknown() {
    let (_host, toy) = pair().await;
    let direct = toy.call(Unserved, &Empty {}).await.expect_err("it is not served");
    let through = toy.call(Do, &relay("relay", "toy.v1/unserved", &ask("echo"))).await.expect_err("nor so");
    assert_eq!([direct.code.as_str(), through.code.as_str()], ["unknown_verb", "unknown_verb"]);
}

#[tokio::test]
async fn a_fake_answers_its_exact_target_before_any_target() {
    let (host, toy) = pair().await;
    host.on("tool.v1/run", |_| Ok(json!("any")));
    host.on("tool.v1/run#exact", Ok);
    let exact = toy.call(Do, &relay("relay", "tool.v1/run#exact", &Ask::default())).await.expect("answered");
    let any = toy.call(Do, &relay("relay", "tool.v1/run#other", &Ask::default())).await.expect("answered");
    assert_eq!(any, json!("any"));
    assert_eq!(exact["act"], "");
}

#[tokio::test]
async fn a_fake_may_refuse_or_panic_and_the_caller_is_told() {
    let (host, toy) = pair().await;
    host.on("a.v1/refuse", |_| Err(Fault::new("nope", "not today")));
    host.on("a.v1/panic", |_| panic!("the fake broke"));
    let refused = toy.call(Do, &relay("relay", "a.v1/refuse", &Ask::default())).await.expect_err("refused");
    let panicked = toy.call(Do, &relay("relay", "a.v1/panic", &Ask::default())).await.expect_err("panicked");
    assert_eq!(refused, Fault::new("nope", "not today"));
    assert_eq!(panicked.code, "panicked");
}

#[tokio::test]
async fn a_child_call_is_stamped_with_its_caller_and_inherits_meta() {
    let (host, toy) = pair().await;
    let meta = Meta { actor: "user:a".into(), conversation_id: Some("c".into()), ..Meta::default() };
    host.on_stream("echo.v1/about", |_: Value, out| async move {
        Ok(json!({ "caller": out.caller(), "meta": out.meta() }))
    });
    let body = relay("relay", "echo.v1/about", &Ask::default());
    let about = toy.with_meta(meta.clone()).call(Do, &body).await.expect("answered");
    assert_eq!(about, json!({ "caller": "toy", "meta": meta }));
}

#[tokio::test]
async fn a_root_call_names_its_actor_only_with_the_capability() {
    let (host, toy) = pair().await;
    host.on_stream("echo.v1/meta", |_: Value, out| async move { Ok(json!(out.meta())) });
    let body = relay("relay_root_meta", "echo.v1/meta", &Ask::default());
    let without = toy.call(Do, &body).await.expect("answered");
    host.grant_identity("toy");
    let with = toy.call(Do, &body).await.expect("answered");
    assert_eq!(without, json!({ "turn_id": "t" }));
    assert_eq!(with, json!({ "actor": "user:chosen", "turn_id": "t" }));
}

#[tokio::test]
async fn of_two_services_the_bound_one_answers_and_without_a_bind_none() {
    let (host, toy) = pair().await;
    host.open::<Toy>("other", json!({})).await.expect("it opens");
    let body = relay("relay", "toy.v1/do", &Ask { body: json!(1), ..ask("publish") });
    let fault = toy.call(Do, &body).await.expect_err("nobody was chosen");
    host.bind("toy.v1", "other");
    toy.call(Do, &body).await.expect("one was chosen");
    assert_eq!(fault.code, "no_service");
    assert_eq!(host.published().iter().map(|p| p.instance.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[tokio::test]
async fn an_instance_that_is_not_bound_is_reached_by_its_id() {
    let (host, toy) = pair().await;
    host.open::<Toy>("other", json!({})).await.expect("it opens");
    host.bind("toy.v1", "toy");
    let to = |target: &str| {
        let verb = format!("toy.v1/do#{target}");
        relay("relay", &verb, &Ask { body: json!(1), ..ask("publish") })
    };
    toy.call(Do, &to("other")).await.expect("it is there");
    assert_eq!(host.published().iter().map(|p| p.instance.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(toy.call(Do, &to("nobody")).await.expect_err("it is not").code, "no_service");
}

#[tokio::test]
async fn a_host_verb_goes_to_the_caller_of_its_parent() {
    let (host, toy) = pair().await;
    host.open::<Toy>("other", json!({})).await.expect("it opens");
    host.bind("toy.v1", "other");
    host.bind("toy_host.v1", "other");
    let back = relay("relay", "toy_host.v1/call_back", &Ask { body: json!(1), ..ask("publish") });
    toy.call(Do, &relay("relay", "toy.v1/do", &back)).await.expect("answered");
    assert_eq!(host.published().iter().map(|p| p.instance.as_str()).collect::<Vec<_>>(), ["toy"]);
}

#[tokio::test]
async fn a_child_gets_the_smaller_of_its_own_budget_and_its_parents_rest() {
    let (_host, toy) = pair().await;
    let about = |ms| Ask { ms, ..relay("relay", "toy.v1/do", &ask("about")) };
    let budget = |reply: Value| reply["budget_ms"].as_u64().expect("a number");
    let unbounded = budget(toy.call(Do, &about(0)).await.expect("answered"));
    let own = budget(toy.call(Do, &about(5_000)).await.expect("answered"));
    let parents = budget(toy.with_budget_ms(3_000).call(Do, &about(5_000)).await.expect("answered"));
    let verbs = budget(toy.call(DoBriefly, &ask("about")).await.expect("answered"));
    assert_eq!(unbounded, 0);
    assert!((3_001..=5_000).contains(&own), "{own}");
    assert!((1..=3_000).contains(&parents), "{parents}");
    assert!((1..=60).contains(&verbs), "{verbs}");
}

#[tokio::test]
async fn a_chain_of_calls_has_a_bounded_depth() {
    let (_host, toy) = pair().await;
    let mut nested = ask("echo");
    for _ in 0..16 {
        nested = relay("relay", "toy.v1/do", &nested);
    }
    let fault = toy.call(Do, &nested).await.expect_err("it is too deep");
    assert_eq!(fault.code, "too_deep");
}

#[tokio::test]
async fn calls_of_instances_are_recorded_in_order_and_those_of_the_test_are_not() {
    let (host, toy) = pair().await;
    host.on("a.v1/one", |_| Ok(json!(1)));
    let ask = Ask { act: "relay".into(), verb: "a.v1/one".into(), body: json!({ "k": 1 }), ..Ask::default() };
    toy.call(Do, &ask).await.expect("answered");
    let call = RecordedCall { caller: "toy".into(), verb: "a.v1/one".into(), params: json!({ "k": 1 }) };
    assert_eq!(host.calls(), [call]);
    assert_eq!(host.calls_of("a.v1/one"), [json!({ "k": 1 })]);
}
