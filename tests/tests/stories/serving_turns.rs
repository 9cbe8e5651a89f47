//! Turns of a served host: resumed streams, a host that is killed with turns that run and wait, one that is told to end.

use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script, When};
use serde_json::{Value, json};

fn text_of<'a>(events: impl IntoIterator<Item = &'a Value>) -> String {
    let deltas = events.into_iter().filter(|event| event["type"] == "text_delta");
    deltas.filter_map(|event| event["data"]["text"].as_str()).collect()
}

fn started(served: &Served, conversation: &str, input: &str) -> Value {
    let path = format!("/v1/conversations/{conversation}/turns");
    let answer = served.ask("POST", &path, Some(&json!({ "input": input })));
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()
}

fn open_turn(served: &Served, conversation: &str) -> Value {
    let answer = served.ask("GET", &format!("/v1/conversations/{conversation}"), None);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["open_turn"].clone()
}

/// Answers when asked for `slow` after a first word, never ending by itself; anything else at once.
fn slow_and_quick() -> Script {
    let slow = When { last_user_contains: Some("slow".to_owned()), ..When::default() };
    Script::rules(vec![
        Rule::always(vec![Action::text("begun "), Action::Stall]).when(slow),
        Rule::always(vec![Action::text("done")]),
    ])
}

#[test]
fn a_client_that_reads_on_from_any_cursor_sees_the_whole_turn_once() {
    let words: Vec<Action> = (0..40).map(|n| Action::text(format!("word{n} "))).collect();
    let host = Host::new(Script::steps(vec![words]));
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let whole: Vec<Value> = served.turn(&conversation, &json!({ "input": "speak" }));
    let expected: String = (0..40).map(|n| format!("word{n} ")).collect();
    assert_eq!(text_of(&whole), expected);
    for (idx, event) in whole.iter().enumerate() {
        let after = event["seq"].as_u64().expect("a number");
        if event["type"] == "turn_ended" {
            continue;
        }
        let rest = served.events(&conversation, after, "turn_ended");
        assert!(rest.iter().all(|(id, event)| *id == event["seq"].as_u64().unwrap_or(0) && *id > after));
        // What is rebased replaces what was shown of its numbers.
        let first = rest[0].1["seq_first"].as_u64().unwrap_or(rest[0].0);
        let kept = whole[..=idx].iter().filter(|event| event["seq"].as_u64().is_some_and(|seq| seq < first));
        let together = text_of(kept.chain(rest.iter().map(|(_, event)| event)));
        assert_eq!(together, expected, "after {after}");
    }
    let beyond = served.ask("GET", &format!("/v1/conversations/{conversation}/events?after=soon"), None);
    assert_eq!((beyond.status, beyond.header("content-type")), (400, Some("application/problem+json")));
}

#[test]
fn after_a_kill_a_turn_that_ran_is_interrupted_and_one_that_waited_runs_once() {
    let host = Host::new(slow_and_quick());
    let one_at_a_time = ["--set", "orchestrator.turns_running_max=1"];
    let served = Served::start(&host, &one_at_a_time);
    let (ran, waited) = (served.conversation(), served.conversation());
    let first = started(&served, &ran, "slow");
    served.events(&ran, first["cursor"].as_u64().expect("a cursor"), "text_delta");
    // A turn of which nothing but its input is on disk would be run again; this one has shown text.
    let written = |log: &Value| {
        log["events"].as_array().is_some_and(|rows| rows.iter().any(|row| row["type"] == "text_delta"))
    };
    while !written(&served.ask("GET", &format!("/v1/conversations/{ran}/log"), None).json()) {}
    let second = started(&served, &waited, "quick");
    assert_eq!(second["durable"], true);
    served.signal("KILL");
    assert_eq!(served.wait(), None, "killed");
    assert_eq!(host.llm.requests().len(), 1, "the second has not been sent to the model");

    let served = Served::start(&host, &one_at_a_time);
    let events = served.events(&ran, 0, "turn_ended");
    let ended = &events.last().expect("an end").1["data"];
    assert_eq!(ended["status"], "interrupted");
    assert!(text_of(events.iter().map(|(_, event)| event)).starts_with("begun "));
    let events = served.events(&waited, 0, "turn_ended");
    assert_eq!(events.last().expect("an end").1["data"]["status"], "completed");
    assert_eq!(text_of(events.iter().map(|(_, event)| event)), "done");
    let of_waited: Vec<&Value> = events.iter().map(|(_, event)| &event["turn_id"]).collect();
    assert!(of_waited.iter().all(|id| **id == second["turn_id"]), "it is the turn that was accepted");
    assert_eq!(host.llm.requests().len(), 2, "each was sent once");
    assert_eq!((open_turn(&served, &ran), open_turn(&served, &waited)), (Value::Null, Value::Null));
}

#[test]
fn an_answer_of_megabytes_is_kept_whole_and_read_again() {
    let piece = "0123456789abcdef".repeat(512);
    let n_pieces = 2 * 1024 * 1024 / piece.len();
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text(&piece); n_pieces])]));
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let whole = served.turn(&conversation, &json!({ "input": "speak" }));
    assert_eq!(whole.last().expect("an end")["data"]["status"], "completed");
    let again = served.turn(&conversation, &json!({ "input": "and again" }));
    assert_eq!(again.last().expect("an end")["data"]["status"], "completed");
    let requests = host.llm.requests();
    let said =
        requests[1].messages().iter().find(|message| message["role"] == "assistant").expect("an answer");
    assert!(said["content"] == piece.repeat(n_pieces), "the model is sent all of it");
}

#[test]
fn a_host_that_is_told_to_end_lets_a_running_turn_finish_and_takes_no_new_one() {
    let answer = vec![Action::text("begun "), Action::WaitMs(1_500), Action::text("and done")];
    let host = Host::new(Script::rules(vec![Rule::always(answer)]));
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let turn = started(&served, &conversation, "speak");
    let cursor = turn["cursor"].as_u64().expect("a cursor");
    served.events(&conversation, cursor, "text_delta");
    served.signal("TERM");
    // The drain is on when the host says that it is not ready.
    while served.ask("GET", "/readyz", None).status == 200 {}
    let turns = format!("/v1/conversations/{conversation}/turns");
    let other = served.ask("POST", &turns, Some(&json!({ "input": "more" })));
    assert_eq!((other.status, other.header("retry-after").is_some()), (503, true), "{}", other.text);
    let events = served.events(&conversation, cursor, "turn_ended");
    assert_eq!(text_of(events.iter().map(|(_, event)| event)), "begun and done");
    assert_eq!(events.last().expect("an end").1["data"]["status"], "completed");
    assert_eq!(served.wait(), Some(0));
}

#[test]
fn a_turn_can_be_stopped_while_the_host_drains() {
    let host = Host::new(slow_and_quick());
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let turn = started(&served, &conversation, "slow");
    let cursor = turn["cursor"].as_u64().expect("a cursor");
    served.events(&conversation, cursor, "text_delta");
    served.signal("TERM");
    while served.ask("GET", "/readyz", None).status == 200 {}
    let stop = served.ask("POST", &format!("/v1/conversations/{conversation}/stop"), Some(&json!({})));
    assert_eq!((stop.status, stop.json()), (200, json!({ "stopped": true })));
    // It was all that the drain waited for.
    assert_eq!(served.wait(), Some(0));
}
