//! An instance whose process dies: it gets no further, and its place can be taken.

use super::toy::{Ask, Do, Toy, ask};
use crate::{FakeHost, MemoryStorage, Opened};
use dispatch_contracts::storage::{Get, GetParams};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

async fn toy(host: &FakeHost) -> Opened {
    host.open::<Toy>("toy", json!({})).await.expect("it opens")
}

#[tokio::test]
async fn a_killed_instance_is_not_stopped_and_what_it_answered_ends_unavailable() {
    let host = FakeHost::new();
    let killed = toy(&host).await;
    let other = killed.clone();
    let open = killed.stream(Do, &ask("until_cancelled"));
    killed.kill().await;
    let ended = open.finish().await.1.expect_err("nobody answers it");
    assert_eq!((ended.code.as_str(), ended.message.contains("killed")), ("unavailable", true), "{ended}");
    assert_eq!(other.call(Do, &ask("echo")).await.expect_err("it is gone").code, "unavailable");
    let next = toy(&host).await;
    assert_eq!(next.call(Do, &Ask { body: json!(1), ..ask("echo") }).await, Ok(json!(1)));
}

/// The task of a killed instance must not go on in the name of the one that took its place.
#[tokio::test]
async fn what_a_killed_instance_does_later_reaches_nobody() {
    let host = FakeHost::new();
    let (asked, n_asked, go_on) =
        (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    host.on_stream("other.v1/wait", {
        let (asked, n_asked, go_on) = (Arc::clone(&asked), Arc::clone(&n_asked), Arc::clone(&go_on));
        move |_, _| {
            let (asked, n_asked, go_on) = (Arc::clone(&asked), Arc::clone(&n_asked), Arc::clone(&go_on));
            async move {
                n_asked.fetch_add(1, Ordering::SeqCst);
                asked.notify_one();
                go_on.notified().await;
                Ok(json!(null))
            }
        }
    });
    host.set_cancel_grace_ms(1);
    let killed = toy(&host).await;
    let _kept = killed.clone();
    let _open = killed.stream(Do, &Ask { verb: "other.v1/wait".into(), ..ask("relay") });
    asked.notified().await;
    killed.kill().await;
    let _next = toy(&host).await;
    go_on.notify_waiters();
    assert_eq!(n_asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_commit_that_is_held_when_its_asker_is_killed_is_not_written() {
    let host = FakeHost::new();
    let storage = host.open::<MemoryStorage>("storage", json!({})).await.expect("it opens");
    let control = MemoryStorage::control(&storage);
    let killed = toy(&host).await;
    control.hold().await.expect("told");
    let body = json!({ "put": [{ "key": "k", "value": 1 }] });
    let _open = killed.stream(Do, &Ask { verb: "storage.v1/commit".into(), body, ..ask("relay") });
    control.wait_held(1).await.expect("it is held");
    killed.kill().await;
    control.release().await.expect("told");
    let found = storage.as_caller("toy").call(Get, &GetParams { key: "k".into() }).await.expect("read");
    assert!(found.entry.is_none());
}
