//! Which engine a turn runs with, what that one is given, and what is kept of it.

use super::world::World;
use dispatch_sdk::Meta;
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::turn;
use dispatch_sdk::contracts::turns::{Start, StartParams};
use serde_json::{Value, json};

fn engines() -> Value {
    json!([
        { "name": "native", "ready": true },
        { "name": "toy", "ready": true },
        { "name": "sick", "ready": false, "reason": "its program is not installed" },
    ])
}

/// A host with engines and without a provider.
async fn world(config: Value) -> World {
    let world = World::configured(dispatch_testkit::FakeHost::new(), config).await;
    world.host.on("kernel.v1/providers", |_| {
        Ok(json!({ "host_id": super::world::HOST_ID, "providers": [], "engines": engines() }))
    });
    world.host.on("conversations.v1/history", |params| {
        assert_eq!(params["limit"], 1, "the input is the last message");
        let message = json!({ "role": "user", "parts": [] });
        let messages = json!([{ "position": 3, "message": message }]);
        Ok(json!({ "messages": messages, "has_older": true, "has_newer": false, "messages_total": 4 }))
    });
    world
        .host
        .on("conversations.v1/engine_state", |params| Ok(json!({ "state": { "of": params["engine"] } })));
    world
}

#[tokio::test]
async fn an_engine_is_given_the_input_alone_and_what_it_left_and_needs_no_provider() {
    let world = world(json!({})).await;
    let started = world.start(json!({ "input": "hi", "engine": "toy" })).await.expect("it starts");
    world.until_ended().await;
    let run = world.change(|state| state.run_params[0].clone());
    let expected = json!([["toy", { "of": "toy" }, "", [{ "role": "user", "parts": [] }]]]);
    let seen = |run: &Value| json!([run["engine"], run["engine_state"], run["provider"], run["messages"]]);
    assert_eq!(json!([seen(&run)]), expected);
    let (kept, log) = world.change(|state| (state.begun.clone(), state.log[0].clone()));
    assert_eq!((&kept[0]["engine"], &log["data"]["engine"]), (&json!("toy"), &json!("toy")));

    // The conversation's last engine goes on; the loop only where it is named.
    let id = started.conversation_id;
    world.start(json!({ "input": "on", "conversation_id": id })).await.expect("it starts");
    world.until_ended().await;
    assert_eq!(world.change(|state| state.run_params[1]["engine"].clone()), "toy");
    let refused = world.start(json!({ "input": "on", "conversation_id": id, "engine": "native" })).await;
    assert_eq!(refused.expect_err("the loop needs a provider").code, "no_provider");
}

#[tokio::test]
async fn an_engine_that_cannot_be_used_is_refused_before_anything_is_written_and_those_that_can_are_named() {
    for (config, asked, said) in [
        (
            json!({}),
            json!({ "input": "hi", "engine": "nobody" }),
            "engine `nobody` is not in this build; name another: `native`, `toy`, `sick`",
        ),
        (
            json!({}),
            json!({ "input": "hi", "engine": "sick" }),
            "engine `sick` is not ready: its program is not installed; name another: `native`, `toy`, `sick`",
        ),
        (
            json!({ "default_engine": "gone" }),
            json!({ "input": "hi" }),
            "engine `gone`, which is `orchestrator.default_engine`, is not in this build; name another: `native`, `toy`, `sick`",
        ),
    ] {
        let world = world(config).await;
        let refused = world.start(asked).await.expect_err("it is refused");
        assert_eq!((refused.code.as_str(), refused.message.as_str()), ("no_engine", said));
        assert_eq!(refused.detail["engines"].as_array().map(Vec::len), Some(3));
        assert!(world.change(|state| state.log.is_empty()), "nothing is opened");
    }
    let world = world(json!({ "default_engine": "toy" })).await;
    world.start(json!({ "input": "hi" })).await.expect("the default runs it");
    world.until_ended().await;
    assert_eq!(world.change(|state| state.run_params[0]["engine"].clone()), "toy");
}

#[tokio::test]
async fn what_an_engine_leaves_goes_with_its_commit_and_the_history_is_there_for_the_asking() {
    let world = world(json!({})).await;
    world.turns(|script, _| async move {
        let asked = turn::HistoryParams { turn_id: script.turn_id.clone() };
        let kernel = script.world.ext().as_caller(KERNEL_INSTANCE);
        let history = kernel.call(turn::History, &asked).await.expect("it is told");
        assert_eq!(json!(history.messages), json!([{ "role": "user" }]));
        let refused = script.world.ext().as_caller("somebody").call(turn::History, &asked).await;
        assert_eq!(refused.expect_err("it is the kernel's to ask").code, "denied");
        let ended = json!({ "status": "completed", "reason": "stop" });
        let commit = json!({
            "turn_id": script.turn_id, "commit_idx": 0, "frames_before": 0, "engine_state": { "thread": "th" },
            "events": [{ "type": "turn_ended", "data": ended }],
        });
        let commit: turn::CommitParams = serde_json::from_value(commit).expect("a commit");
        kernel.call(turn::Commit, &commit).await.expect("it is written");
        Ok(ended)
    });
    world.start(json!({ "input": "hi", "engine": "toy" })).await.expect("it starts");
    world.until_ended().await;
    let left = json!({ "engine": "toy", "state": { "thread": "th" } });
    assert_eq!(world.change(|state| state.appends.clone())[0]["engine_state"], left);
}

#[tokio::test]
async fn whom_a_turn_is_for_is_that_of_its_start_and_whose_a_new_conversation_is() {
    let world = World::new().await;
    let some = |word: &str| Some(word.to_owned());
    let meta = Meta {
        actor: "user:ann".to_owned(),
        tenant: some("acme"),
        user: some("ann"),
        device: some("phone"),
        computer: some("exec-ssh"),
        ..Meta::default()
    };
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Meta::default()));
    let noted = std::sync::Arc::clone(&seen);
    world.turns(move |script, out| {
        *noted.lock().expect("no panic") = out.meta();
        async move { script.end("completed", "stop").await }
    });
    let params: StartParams = serde_json::from_value(json!({ "input": "hi" })).expect("a start");
    let started = world.ext().with_meta(meta.clone()).call(Start, &params).await.expect("it starts");
    world.until_ended().await;
    let of = Meta { conversation_id: Some(started.conversation_id), turn_id: Some(started.turn_id), ..meta };
    assert_eq!(*seen.lock().expect("no panic"), of);
    assert_eq!(
        world.change(|state| state.run_params[0]["computer"].clone()),
        "exec-ssh",
        "its tools act there"
    );
    let begun = world.change(|state| state.begun[0].clone());
    let kept = ["actor", "tenant", "user", "device", "computer", "owner"].map(|field| begun[field].clone());
    let owner = json!({ "tenant": "acme", "user": "ann" });
    assert_eq!(json!(kept), json!(["user:ann", "acme", "ann", "phone", "exec-ssh", owner]));
}
