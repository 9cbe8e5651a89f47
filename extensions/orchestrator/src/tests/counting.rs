//! What is counted and logged of turns, and in whose name they act.

use super::world::World;
use dispatch_sdk::Meta;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::Metrics;
use dispatch_sdk::contracts::turns::{Start, StartParams, Stop, StopParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Every number above zero, by its name and labels.
async fn numbers(world: &World) -> BTreeMap<String, f64> {
    let reply = world.ext().call_named(Metrics, "orchestrator", &Empty {}).await.expect("metrics");
    let mut numbers = BTreeMap::new();
    for metric in reply.metrics {
        let name = metric.name.trim_start_matches("dispatch_turns_").to_owned();
        for sample in metric.samples.into_iter().filter(|sample| sample.value > 0.0) {
            let labels: Vec<String> = sample.labels.into_values().collect();
            numbers.insert([vec![name.clone()], labels].concat().join(" "), sample.value);
        }
    }
    numbers
}

#[tokio::test]
async fn turns_are_counted_by_how_they_ended_with_what_they_used() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        let completed = json!({
            "status": "completed", "reason": "stop", "usage": { "input_tokens": 7, "output_tokens": 3 }, "duration_ms": 1500,
        });
        let end = json!([{ "type": "step_completed", "data": {} }, { "type": "turn_ended", "data": completed }]);
        turn.commit(0, end).await?;
        Ok(completed)
    });
    world.start(json!({ "input": "hi", "model": "m" })).await.expect("it starts");
    world.until_ended().await;
    world.turns(|turn, _| async move {
        let failed = json!({ "status": "failed", "reason": "stalled", "duration_ms": 500 });
        let error = json!({ "code": "stalled", "class": "stalled", "message": "nothing came" });
        turn.commit(0, json!([{ "type": "error", "data": error }, { "type": "turn_ended", "data": failed }]))
            .await?;
        Ok(failed)
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until(|state| state.ends().len() == 2).await;
    // A stop waits until the task is gone, which counts before it goes.
    for begun in world.host.calls_of("conversations.v1/begin") {
        let conversation_id = begun["conversation_id"].as_str().expect("an id").to_owned();
        world.ext().call(Stop, &StopParams { conversation_id, turn_id: None }).await.expect("it answers");
    }
    let expected = [
        ("accepted_total", 2.0),
        ("ended_total completed", 1.0),
        ("ended_total failed", 1.0),
        ("failed_total stalled", 1.0),
        ("input_tokens_total", 7.0),
        ("output_tokens_total", 3.0),
        ("seconds_total", 2.0),
        ("started_total", 2.0),
        ("steps_total", 1.0),
        ("within_total +Inf", 2.0),
        ("within_total 1", 1.0),
        ("within_total 120", 2.0),
        ("within_total 30", 2.0),
        ("within_total 5", 2.0),
        ("within_total 600", 2.0),
    ];
    let mut found = numbers(&world).await;
    // The clock of the fake host goes on while things wait.
    for moving in ["running", "queued", "waited_seconds_total"] {
        found.remove(moving);
    }
    assert_eq!(found, BTreeMap::from(expected.map(|(name, n)| (name.to_owned(), n))));
}

#[tokio::test]
async fn a_turn_acts_in_the_name_of_whoever_started_it() {
    let world = World::new().await;
    let actors = note_actors(&world);
    let ann = world.ext().with_meta(Meta { actor: "user:ann".to_owned(), ..Meta::default() });
    let params = StartParams { conversation_id: None, input: "hi".into(), ..StartParams::default() };
    ann.call(Start, &params).await.expect("it starts");
    world.until_ended().await;
    assert_eq!(*actors.lock().unwrap(), ["user:ann", "user:ann"]);
    world.change(|state| assert_eq!(state.log[0]["data"]["actor"], "user:ann"));
    let begun = &world.host.calls_of("conversations.v1/begin")[0];
    assert_eq!(begun["actor"], "user:ann");
}

#[tokio::test]
async fn an_adopted_turn_acts_in_the_name_of_whoever_started_it_on_the_dead_host() {
    let world = World::new().await;
    let actors = note_actors(&world);
    world.host.on("kernel.v1/host_alive", |_| Ok(json!({ "alive": false })));
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "old", "host_id": "elsewhere" }));
        let known = json!({
            "id": "c", "title": "t", "created_at": 5, "active_at": 6, "seq_last": 2, "cwd": "/tmp", "provider": "two",
        });
        state.conversations.insert("c".to_owned(), known);
    });
    world.on("conversations.v1/adopt", |state, params| {
        state.open = Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
        let turn = json!({
            "turn_id": "old", "seq_first": 1, "seq_last": 2, "started_at": 5, "actor": "user:ann", "provider": "one",
        });
        Ok(json!({ "adopted": true, "created_at": 5, "turn": turn }))
    });
    world.start(json!({ "input": "hi", "conversation_id": "c" })).await.expect_err("the old one runs first");
    world.until(|state| state.ends().len() == 1).await;
    assert_eq!(*actors.lock().unwrap(), ["user:ann", "user:ann"]);
    world.change(|state| {
        assert_eq!(
            (&state.run_params[0]["provider"], &state.run_params[0]["cwd"]),
            (&json!("one"), &json!("/tmp"))
        )
    });
}

/// Notes in whose name the turns of `world` ask for their prompt and run.
fn note_actors(world: &World) -> Arc<Mutex<Vec<String>>> {
    let actors = Arc::<Mutex<Vec<String>>>::default();
    world.host.on_stream("prompt.v1/system", {
        let actors = Arc::clone(&actors);
        move |_, out| {
            actors.lock().unwrap().push(out.meta().actor);
            async { Ok(json!({ "text": "" })) }
        }
    });
    world.turns({
        let actors = Arc::clone(&actors);
        move |turn, out| {
            actors.lock().unwrap().push(out.meta().actor);
            async move { turn.end("completed", "stop").await }
        }
    });
    actors
}
