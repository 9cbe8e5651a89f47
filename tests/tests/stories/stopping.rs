//! A stop that is asked of another host than the one that runs the turn: it ends there, also when that host dies first.

use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script, When};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest wait for anything that must come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Answers with a first word when asked for `slow`, and never ends by itself.
fn stalls() -> Script {
    let slow = When { last_user_contains: Some("slow".to_owned()), ..When::default() };
    Script::rules(vec![
        Rule::always(vec![Action::text("begun "), Action::Stall]).when(slow),
        Rule::always(vec![Action::text("done")]),
    ])
}

fn start(served: &Served, conversation: &str, input: &str) -> u64 {
    let path = format!("/v1/conversations/{conversation}/turns");
    let answer = served.ask("POST", &path, Some(&json!({ "input": input })));
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["cursor"].as_u64().expect("a cursor")
}

fn stop(served: &Served, conversation: &str) -> Value {
    let answer = served.ask("POST", &format!("/v1/conversations/{conversation}/stop"), Some(&json!({})));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// How the turns of the conversation ended, once one has.
fn ended(served: &Served, conversation: &str, after: u64) -> Vec<Value> {
    served.events(conversation, after, "turn_ended");
    let log = served.ask("GET", &format!("/v1/conversations/{conversation}/log"), None).json();
    let rows = log["events"].as_array().expect("a page").clone();
    rows.into_iter().filter(|row| row["type"] == "turn_ended").map(|row| row["data"].clone()).collect()
}

/// Waits until the wish stands in the store.
fn until_wished(served: &Served, conversation: &str) {
    let began = Instant::now();
    while served.ask("GET", &format!("/v1/conversations/{conversation}"), None).json()["open_turn"]["stop"]
        .is_null()
    {
        assert!(began.elapsed() < WAIT_MAX, "nobody wrote the wish down");
    }
}

#[test]
fn a_stop_asked_of_another_host_ends_the_turn_where_it_runs() {
    let host = Host::new(stalls());
    let (runs, other) = (Served::start(&host, &[]), Served::start(&host, &[]));
    let conversation = runs.conversation();
    let cursor = start(&runs, &conversation, "slow");
    runs.events(&conversation, cursor, "text_delta");
    assert_eq!(stop(&other, &conversation), json!({ "stopped": true }));
    let ends = ended(&other, &conversation, cursor);
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!((&ends[0]["status"], &ends[0]["reason"]), (&json!("cancelled"), &json!("stopped")));
    assert_eq!(stop(&other, &conversation), json!({ "stopped": false }), "nothing is open any more");

    let mut explained = host.bare(&["explain", &conversation]);
    let explained = String::from_utf8(explained.output().expect("started").stdout).expect("UTF-8");
    assert!(explained.contains("its stop was asked for by "), "{explained}");

    // The host that ran it serves on.
    let after = runs.turn(&conversation, &json!({ "input": "quick" }));
    assert_eq!(after.last().expect("an end")["data"]["status"], "completed");
}

#[test]
fn a_turn_of_run_on_a_terminal_is_stopped_through_a_host_that_serves() {
    let host = Host::new(stalls());
    let served = Served::start(&host, &[]);
    let mut running = host.start(&["slow"]);
    let shown = running.until("text_delta");
    let conversation = shown["conversation_id"].as_str().expect("in every envelope");
    assert_eq!(stop(&served, conversation), json!({ "stopped": true }));
    let (code, rest) = running.end();
    assert_eq!((code, &rest.last().expect("an end")["data"]["status"]), (Some(130), &json!("cancelled")));
}

/// One turn runs and one waits for its place; their host hangs, both are to end, and then it is killed.
#[test]
fn turns_whose_host_dies_between_the_wish_and_their_end_are_cancelled_and_never_run() {
    let host = Host::new(stalls());
    let other = Served::start(&host, &[]);
    let dies = Served::start(&host, &["--set", "orchestrator.turns_running_max=1"]);
    let (ran, waited) = (dies.conversation(), dies.conversation());
    let cursor = start(&dies, &ran, "slow");
    dies.events(&ran, cursor, "text_delta");
    start(&dies, &waited, "quick, and it must not be asked");
    dies.signal("STOP");
    std::thread::scope(|scope| {
        let stops = [&ran, &waited].map(|conversation| scope.spawn(|| stop(&other, conversation)));
        until_wished(&other, &ran);
        until_wished(&other, &waited);
        dies.signal("KILL");
        for stop in stops {
            let answer = stop.join().expect("answered");
            assert!(answer["stopped"] == true || answer["requested"] == true, "{answer}");
        }
    });
    for conversation in [&ran, &waited] {
        let ends = ended(&other, conversation, 0);
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!((&ends[0]["status"], &ends[0]["reason"]), (&json!("cancelled"), &json!("stopped")));
    }
    let asked: Vec<String> =
        host.llm.requests().iter().map(|request| format!("{:?}", request.messages())).collect();
    assert!(!asked.iter().any(|messages| messages.contains("must not be asked")), "{asked:?}");
}
