//! `instance.v1/check`.

use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckReply, CheckStatus};
use serde_json::{Value, json};

async fn check(world: &World) -> CheckReply {
    world.ext().call_named(Check, "orchestrator", &Empty {}).await.expect("it answers")
}

#[tokio::test]
async fn turns_of_a_host_that_nobody_can_judge_are_listed_with_what_a_person_can_say() {
    let world = World::new().await;
    let lives = [
        ("dead", "dead"),
        ("alive", "alive"),
        ("of-old", "unknown"),
        ("far", "unknown"),
        ("lost", "unknown"),
    ];
    world.host.on("conversations.v1/hosts", move |_| {
        let hosts = lives.map(|(host_id, life)| json!({ "host_id": host_id, "life": life }));
        Ok(json!({ "hosts": hosts }))
    });
    // The sweep judges this one by its lock file.
    world.host.on("kernel.v1/host_alive", |params| {
        let known = params["host_id"] == "of-old";
        Ok(json!({ "alive": !known, "known": known }))
    });
    world.host.on("conversations.v1/open_turns", |params| {
        let host_id = params["host_id"].as_str().expect("of one host").to_owned();
        let open = |n: u64| {
            json!({
                "id": format!("c{n}"), "title": "", "created_at": 1, "active_at": 1, "seq_last": 1,
                "open_turn": { "turn_id": format!("t{n}"), "host_id": host_id },
            })
        };
        let limit = params["limit"].as_u64().expect("a bound");
        Ok(match host_id.as_str() {
            "far" => json!({ "conversations": [open(1)] }),
            _ => json!({ "conversations": (1..=limit).map(open).collect::<Vec<Value>>(), "next": "n" }),
        })
    });
    let checks = check(&world).await.checks;
    let names: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.status)).collect();
    assert_eq!(names, [("open_turns", CheckStatus::Warn), ("open_turns_2", CheckStatus::Warn)]);
    let far = "nobody can tell whether host `far` lives, and it has open: `t1` of conversation `c1`";
    assert_eq!(checks[0].summary, far);
    assert!(checks[0].recovery.ends_with("`dispatch hosts bury far`"), "{}", checks[0].recovery);
    assert!(checks[1].summary.ends_with("`t5` of conversation `c5` and more"), "{}", checks[1].summary);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_finding_and_one_without_such_turns_is_fine() {
    let world = World::new().await;
    world
        .host
        .on("conversations.v1/hosts", |_| Ok(json!({ "hosts": [{ "host_id": "dead", "life": "dead" }] })));
    assert_eq!(check(&world).await.checks[0].status, CheckStatus::Ok);
    world.host.on("conversations.v1/hosts", |_| Err(Fault::new("io", "the disk is away")));
    let checks = check(&world).await.checks;
    assert_eq!(checks[0].status, CheckStatus::Fail);
    assert!(checks[0].summary.contains("the disk is away"), "{}", checks[0].summary);
}
