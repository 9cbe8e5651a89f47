//! Turns that dead hosts left open, for as long as this host serves.

use super::queueing::left_open;
use super::world::World;
use crate::sweeping::SWEEP_EVERY;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

fn life_of(host_id: &Value) -> &'static str {
    match host_id.as_str() {
        Some("dead") => "dead",
        Some("alive") => "alive",
        _ => "unknown",
    }
}

#[tokio::test]
async fn of_a_dead_hosts_turns_those_that_waited_run_and_those_that_ran_are_sealed() {
    let world = World::new().await;
    world.host.on("kernel.v1/host", |_| Ok(json!({ "host_id": "host-here" })));
    world.host.on("kernel.v1/host_alive", |params| {
        let free = params["host_id"] == "of-old";
        Ok(json!({ "alive": !free, "known": free }))
    });
    world.host.on("conversations.v1/host", |params| Ok(json!({ "life": life_of(&params["host_id"]) })));
    world.host.on("conversations.v1/hosts", |_| {
        let open = |id: &str| json!({ "host_id": id, "life": life_of(&json!(id)) });
        // Those that are left alone come first, so that the sweep has passed them when the others are over.
        Ok(json!({ "hosts": [open("nobody-knows"), open("alive"), open("dead"), open("of-old")] }))
    });
    world.host.on("conversations.v1/open_turns", |params| {
        let page = match (params["host_id"].as_str().expect("of one host"), params["after"].as_str()) {
            ("dead", None) => {
                json!({ "conversations": [left_open("waited", "t-waited", "dead")], "next": "n" })
            }
            ("dead", Some("n")) => json!({ "conversations": [
                left_open("ran", "t-ran", "dead"), left_open("raced", "t-raced", "dead"),
            ] }),
            ("of-old", None) => json!({ "conversations": [left_open("old", "t-old", "of-old")] }),
            _ => json!({ "conversations": [] }),
        };
        Ok(page)
    });
    world.on("conversations.v1/adopt", |state, params| match params["turn_id"].as_str() {
        Some("t-raced") => Err(Fault::new("conflict", "another host took it")),
        Some("t-waited") => {
            state.open = Some(json!({ "turn_id": "t-waited", "host_id": params["host_id"] }));
            Ok(json!({ "adopted": true, "created_at": 5 }))
        }
        _ => Ok(json!({ "adopted": false, "created_at": 5 })),
    });
    world.ext().call_named(Serve, "orchestrator", &ServeParams::default()).await.expect("it serves");
    world.until(|state| state.n_seals == 2 && state.ends().len() == 1).await;
    let pages = world.host.calls_of("conversations.v1/open_turns");
    let looked_at: BTreeSet<_> = pages.iter().filter_map(|page| page["host_id"].as_str()).collect();
    assert_eq!(looked_at, BTreeSet::from(["dead", "of-old"]), "any other lives, as far as anybody knows");
    let mut seals = world.host.calls_of("conversations.v1/seal");
    seals.sort_by_key(|seal| seal["turn_id"].to_string());
    let sealed = |id: &str, turn_id: &str, host_id: &str| json!({ "conversation_id": id, "turn_id": turn_id, "dead_host_id": host_id });
    assert_eq!(seals, [sealed("old", "t-old", "of-old"), sealed("ran", "t-ran", "dead")]);
    world.change(|state| {
        let ran = &state.run_params[0];
        assert_eq!(
            (&ran["turn_id"], &ran["model"], &ran["cwd"]),
            (&json!("t-waited"), &json!("m"), &json!("/tmp"))
        );
        assert_eq!(state.run_params.len(), 1);
    });
}

/// Lets time pass until it holds.
pub(super) async fn in_time(world: &World, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        world.host.advance_ms(u64::try_from(SWEEP_EVERY.as_millis()).unwrap() / 4);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("it does not come: {what}");
}

/// A host dies long after this one began to serve, the store fails meanwhile, and more waits than there is room for.
#[tokio::test]
async fn a_sweep_that_fails_or_finds_no_room_is_followed_by_another_until_nothing_is_left() {
    let config = json!({ "turns_running_max": 1, "turns_queued_max": 1 });
    let world = World::configured(FakeHost::with_manual_clock(), config).await;
    world.host.on("kernel.v1/host", |_| Ok(json!({ "host_id": "host-here" })));
    world.host.on("conversations.v1/host", |_| Ok(json!({ "life": "dead" })));
    let left: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let n_asked = Arc::new(Mutex::new(0));
    world.host.on("conversations.v1/hosts", {
        let n_asked = Arc::clone(&n_asked);
        move |_| {
            let mut n = n_asked.lock().unwrap();
            *n += 1;
            match *n {
                1 => Ok(json!({ "hosts": [{ "host_id": "dead", "life": "alive" }] })),
                2 | 3 => Err(Fault::new("io", "the disk is away")),
                _ => Ok(json!({ "hosts": [{ "host_id": "dead", "life": "dead" }] })),
            }
        }
    });
    world.host.on("conversations.v1/open_turns", {
        let left = Arc::clone(&left);
        move |_| {
            let open = |id: &String| {
                let mut found = left_open(id, &format!("t-{id}"), "dead");
                found["open_turn"]["begun"] = json!(id.starts_with("begun"));
                found
            };
            Ok(json!({ "conversations": left.lock().unwrap().iter().map(open).collect::<Vec<_>>() }))
        }
    });
    let gone = |left: &Arc<Mutex<BTreeSet<String>>>| {
        let left = Arc::clone(left);
        move |params: &Value| {
            let id = params["conversation_id"].as_str().unwrap().to_owned();
            assert!(left.lock().unwrap().remove(&id), "{id} is looked after once");
        }
    };
    let (adopted, sealed) = (gone(&left), gone(&left));
    world.on("conversations.v1/adopt", move |_, params| {
        adopted(&params);
        Ok(json!({ "adopted": true, "created_at": 5 }))
    });
    world.on("conversations.v1/seal", move |state, params| {
        sealed(&params);
        state.n_seals += 1;
        Ok(json!({ "sealed": true }))
    });
    world.on("conversations.v1/append", |state, params| {
        state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
        Ok(json!({ "seq_last": state.log.len(), "durable": true }))
    });
    left.lock().unwrap().extend(["a", "b", "c", "d", "begun-1", "begun-2"].map(str::to_owned));
    world.ext().call_named(Serve, "orchestrator", &ServeParams::default()).await.expect("it serves");
    in_time(&world, "every turn runs or is sealed", || {
        left.lock().unwrap().is_empty() && world.change(|state| state.ends().len() == 4)
    })
    .await;
    world.change(|state| assert_eq!((state.n_seals, state.run_params.len()), (2, 4)));
}
