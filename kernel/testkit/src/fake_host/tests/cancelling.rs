//! The two phases of cancelling, its cascade, and deadlines.

use super::toy::{Ask, Do, DoBriefly, Toy, ask};
use crate::{FakeHost, Opened};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

async fn toy() -> Opened {
    FakeHost::new().open::<Toy>("toy", json!({})).await.expect("it opens")
}

/// Answers `signal.v1/wait` with a future that tells when it has begun and when it was cancelled.
fn on_wait(host: &FakeHost) -> (Arc<Notify>, Arc<Notify>) {
    let (began, cancelled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (Arc::clone(&began), Arc::clone(&cancelled));
    host.on_stream("signal.v1/wait", move |_, out| {
        let (began, cancelled) = signals.clone();
        async move {
            began.notify_one();
            out.cancelled().await;
            cancelled.notify_one();
            Ok(json!("partial"))
        }
    });
    (began, cancelled)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("it ends by itself")
}

/// Waits until the toy has published `topic`.
async fn published(host: &FakeHost, topic: &str) {
    within(async {
        while !host.published().iter().any(|published| published.topic == topic) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_answers_with_what_there_is() {
    let toy = toy().await;
    let stream = toy.stream(Do, &Ask { body: json!(7), ..ask("until_cancelled") });
    stream.cancel();
    let (_, reply) = within(stream.finish()).await;
    assert_eq!(reply, Ok(json!({ "partial": 7 })));
}

#[tokio::test]
async fn who_does_not_answer_within_the_grace_is_dropped() {
    let toy = toy().await;
    toy.host().set_cancel_grace_ms(50);
    let stream = toy.stream(Do, &ask("stubborn"));
    let began = Instant::now();
    stream.cancel();
    let (_, reply) = within(stream.finish()).await;
    assert_eq!(reply.expect_err("it never answers").code, "cancelled");
    assert!(began.elapsed() >= Duration::from_millis(50), "the grace was kept");
    published(toy.host(), "toy.dropped").await;
}

#[tokio::test]
async fn the_grace_is_half_a_second_unless_it_is_set() {
    let toy = toy().await;
    let stream = toy.stream(Do, &ask("stubborn"));
    let began = Instant::now();
    stream.cancel();
    let (_, reply) = within(stream.finish()).await;
    assert_eq!(reply.expect_err("it never answers").code, "cancelled");
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn dropping_a_reply_cancels_the_call() {
    let toy = toy().await;
    let (began, cancelled) = on_wait(toy.host());
    let relay = Ask { verb: "signal.v1/wait".into(), ..ask("relay") };
    // The host lives on in `toy`: closing it would end the call without any grace.
    let calling = tokio::spawn({
        let toy = toy.clone();
        async move { toy.call(Do, &relay).await }
    });
    within(began.notified()).await;
    calling.abort();
    within(cancelled.notified()).await;
}

#[tokio::test]
async fn cancelling_reaches_the_calls_made_out_of_the_call() {
    let toy = toy().await;
    let (began, _cancelled) = on_wait(toy.host());
    // The inner relay is a call of its own, so the signal is two levels below what is cancelled.
    let inner = Ask { verb: "signal.v1/wait".into(), ..ask("relay") };
    let stream = toy.stream(Do, &Ask { verb: "toy.v1/do".into(), body: json!(inner), ..ask("relay") });
    within(began.notified()).await;
    stream.cancel();
    let (_, reply) = within(stream.finish()).await;
    assert_eq!(reply, Ok(json!("partial")), "each level answered within its grace");
}

#[tokio::test]
async fn a_root_call_is_not_cancelled_with_the_call_that_made_it() {
    let toy = toy().await;
    toy.host().set_cancel_grace_ms(20);
    let (began, _cancelled) = on_wait(toy.host());
    let stream = toy.stream(Do, &Ask { verb: "signal.v1/wait".into(), ..ask("relay_root") });
    within(began.notified()).await;
    stream.cancel();
    let (_, reply) = within(stream.finish()).await;
    // The root call is cancelled only when the future that awaits it is dropped, after the grace of its maker.
    assert_eq!(reply.expect_err("nobody told the root call in time").code, "cancelled");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_may_say_what_it_has() {
    let toy = toy().await.with_budget_ms(40);
    toy.host().set_cancel_grace_ms(40);
    let stubborn = within(toy.call(Do, &ask("stubborn"))).await.expect_err("it never answers");
    let partial = within(toy.call(Do, &Ask { body: json!(1), ..ask("until_cancelled") })).await;
    assert_eq!(stubborn.code, "deadline");
    assert_eq!(partial, Ok(json!({ "partial": 1 })));
}

#[tokio::test]
async fn a_verbs_own_limit_ends_it() {
    let toy = toy().await;
    toy.host().set_cancel_grace_ms(20);
    let fault = within(toy.call(DoBriefly, &ask("stubborn"))).await.expect_err("it never answers");
    assert_eq!(fault.code, "deadline");
}

#[tokio::test]
async fn a_parents_deadline_ends_its_children() {
    let toy = toy().await;
    let (_began, cancelled) = on_wait(toy.host());
    let relay = Ask { verb: "signal.v1/wait".into(), ms: 60_000, ..ask("relay") };
    let reply = within(toy.with_budget_ms(40).call(Do, &relay)).await;
    within(cancelled.notified()).await;
    assert_eq!(reply, Ok(json!("partial")));
}

#[tokio::test]
async fn a_closed_host_ends_what_is_open() {
    let toy = toy().await;
    let (began, _cancelled) = on_wait(toy.host());
    let stream = toy.stream(Do, &Ask { verb: "signal.v1/wait".into(), ..ask("relay") });
    within(began.notified()).await;
    let dir = toy.host().temp_dir().to_owned();
    drop(toy);
    let (_, reply) = within(stream.finish()).await;
    assert_eq!(reply.expect_err("nobody can answer").code, "unavailable");
    assert!(!dir.exists(), "its directories are gone");
}
