//! What an instance does with nobody waiting for it: notifications, tasks, logs, and a `stop` that does not end.

use super::toy::{Ask, ask};
use crate::{FakeHost, LogRecord, Opened};
use dispatch_abi::PANIC_LOG_TARGET;
use dispatch_contracts::{Limits, Mode};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Topic, Verb, Verbs};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

struct Left {
    host: Host,
}

struct Act;

impl Verb for Act {
    type Params = Ask;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "left.v1/act";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(10_000);
}

impl Extension for Left {
    fn open(host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self { host })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Act, Self::act);
    }

    async fn on_topic(self: Arc<Self>, topic: Topic) {
        assert!(topic.data.as_slice() != b"\"bad\"", "told to panic");
        self.host.publish("left.heard", &String::from_utf8_lossy(&topic.data)).expect("it encodes");
    }

    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        std::future::pending().await
    }
}

/// A field that cannot be shown.
struct Bomb;

impl std::fmt::Debug for Bomb {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("told to panic in Debug")
    }
}

/// Publishes when it is dropped.
struct Tells(Host);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.publish("left.dropped", &Value::Null).expect("null encodes");
    }
}

impl Left {
    async fn act(self: Arc<Self>, _call: Call, ask: Ask) -> Result<Value, Fault> {
        match ask.act.as_str() {
            "log" => tracing::info!("said"),
            "log_bomb" => tracing::info!(bomb = ?Bomb, "not said"),
            "task_log" => drop(self.host.runtime()?.spawn(async { tracing::info!("said by a task") })),
            "task_panic" => drop(self.host.runtime()?.spawn(async { panic!("told to panic in a task") })),
            _ => {
                let tells = Tells(self.host.clone());
                drop(self.host.runtime()?.spawn(async move {
                    let _tells = tells;
                    std::future::pending::<()>().await
                }));
            }
        }
        Ok(Value::Null)
    }
}

async fn left(host: &FakeHost, id: &str) -> Opened {
    host.open::<Left>(id, json!({})).await.expect("it opens")
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}: not so"));
}

fn logged(host: &FakeHost, message: &str) -> Option<LogRecord> {
    let says = |log: &LogRecord| log.record["message"].as_str().is_some_and(|said| said.contains(message));
    host.logs().into_iter().find(says)
}

#[tokio::test]
async fn a_topic_that_is_not_named_after_its_publisher_is_refused_and_told() {
    let host = FakeHost::new();
    let other = left(&host, "other").await;
    other.notify("t", &json!("one"));
    let refused = "`other` published `left.heard`: refused, a topic is `<instance>.<word>`";
    eventually("it is told", || logged(&host, refused).is_some()).await;
    assert_eq!(host.published(), []);
}

#[tokio::test]
async fn a_panic_in_on_topic_is_told_and_the_next_notification_arrives() {
    let host = FakeHost::new();
    let left = left(&host, "left").await;
    for data in ["bad", "one", "bad", "two"] {
        left.notify("t", &json!(data));
    }
    eventually("both good ones arrive", || host.published().len() == 2).await;
    let heard: Vec<_> = host.published().into_iter().map(|published| published.data).collect();
    assert_eq!(heard, ["\"one\"", "\"two\""]);
    let told = logged(&host, "`left` panicked in `on_topic`: told to panic at ").expect("it is told");
    assert_eq!((told.instance.as_str(), told.level, told.target.as_str()), ("left", 1, PANIC_LOG_TARGET));
}

#[tokio::test]
async fn what_a_task_logs_and_panics_carries_the_instance_whose_thread_it_is() {
    let host = FakeHost::new();
    for id in ["first", "second"] {
        let left = left(&host, id).await;
        for act in ["task_log", "task_panic"] {
            left.call(Act, &ask(act)).await.expect("it is spawned");
        }
        for (message, target) in [
            ("said by a task", module_path!()),
            ("a task panicked: told to panic in a task at ", PANIC_LOG_TARGET),
        ] {
            let of_it = |log: &LogRecord| {
                log.instance == id
                    && log.target == target
                    && log.record["message"].as_str().is_some_and(|said| said.starts_with(message))
            };
            eventually(&format!("{id}: {message}"), || host.logs().iter().any(of_it)).await;
        }
    }
}

#[tokio::test]
async fn a_field_that_panics_does_not_end_the_logging_of_its_thread() {
    let host = FakeHost::new();
    let left = left(&host, "left").await;
    let fault = left.call(Act, &ask("log_bomb")).await.expect_err("it panics");
    assert_eq!(fault.code, "panicked");
    // Inline verbs share one thread.
    left.call(Act, &ask("log")).await.expect("it lives");
    assert!(logged(&host, "said").is_some(), "{:?}", host.logs());
}

#[tokio::test]
async fn a_stop_that_nobody_waits_for_any_longer_ends_the_tasks_all_the_same() {
    let host = FakeHost::new();
    let left = left(&host, "left").await;
    left.call(Act, &ask("stay")).await.expect("it is spawned");
    let stopping = tokio::time::timeout(Duration::from_millis(50), left.slot.object.stop()).await;
    assert!(stopping.is_err(), "its `stop` never ends");
    eventually("the task is dropped", || host.published().iter().any(|p| p.topic == "left.dropped")).await;
    assert_eq!(left.call(Act, &ask("task_log")).await.expect_err("its threads are gone").code, "unavailable");
}
