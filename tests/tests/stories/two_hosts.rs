//! Two hosts that serve over one store, one of them killed again and again: what was acknowledged ends, once, and soon.
//!
//! `DISPATCH_DEATHS` says how often; the long check says fifty.

use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script, When};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DEATHS: usize = 4;
/// What is promised is five seconds; a busy machine gets three times as much.
const END_WITHIN: Duration = Duration::from_secs(15);
/// Longest life of a host that is to die.
const LIFE_MS_MAX: u64 = 900;
const CLIENTS: usize = 3;

#[expect(clippy::disallowed_methods, reason = "how often is asked for by whoever runs the tests")]
fn deaths() -> usize {
    std::env::var("DISPATCH_DEATHS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEATHS)
}

/// One request; nothing when whoever was asked is gone.
fn post(address: &str, token: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?))
}

/// Starts turns, every third of them long, until nobody answers; those that were acknowledged.
fn start_until(address: &str, token: &str, is_over: &AtomicBool) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let Some((201, made)) = post(address, token, "/v1/conversations", &json!({})) else { continue };
        let id = made["conversation"]["id"].as_str().expect("an id").to_owned();
        let input = if acknowledged.len() % 3 == 0 { "slow" } else { "quick" };
        let path = format!("/v1/conversations/{id}/turns");
        if let Some((202, started)) = post(address, token, &path, &json!({ "input": input })) {
            acknowledged.push((id, started["turn_id"].as_str().expect("an id").to_owned()));
        }
    }
    acknowledged
}

/// How the turn ended, as often as its log says so.
fn ends(served: &Served, conversation: &str, turn: &str) -> Vec<Value> {
    let log = served.ask("GET", &format!("/v1/conversations/{conversation}/log"), None).json();
    let rows = log["events"].as_array().cloned().unwrap_or_default();
    let of_turn = |row: &&Value| row["type"] == "turn_ended" && row["turn_id"] == turn;
    rows.iter().filter(of_turn).map(|row| row["data"]["status"].clone()).collect()
}

#[test]
fn what_a_host_acknowledged_before_it_was_killed_is_ended_once_by_the_other() {
    let slow = When { last_user_contains: Some("slow".to_owned()), ..When::default() };
    let host = Host::new(Script::rules(vec![
        Rule::always(vec![Action::text("begun "), Action::WaitMs(1_000), Action::text("and done")])
            .when(slow),
        Rule::always(vec![Action::text("done")]),
    ]));
    let survivor = Served::start(&host, &[]);
    let (mut n_turns, mut longest) = (0, Duration::ZERO);
    for n_dead in 0..deaths() {
        let victim = Served::start(&host, &[]);
        let (address, token, is_over) =
            (victim.address.clone(), victim.token.clone(), AtomicBool::new(false));
        let acknowledged: Vec<(String, String)> = std::thread::scope(|scope| {
            let start = || start_until(&address, &token, &is_over);
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(start)).collect();
            // When it dies is the point: anywhere in its turns, another place each time.
            std::thread::sleep(Duration::from_millis(n_dead as u64 * 7_919 % LIFE_MS_MAX));
            victim.signal("KILL");
            victim.wait();
            is_over.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("it ends")).collect()
        });
        let died = Instant::now();
        for (conversation, turn) in &acknowledged {
            let ended = loop {
                let ended = ends(&survivor, conversation, turn);
                if !ended.is_empty() {
                    break ended;
                }
                assert!(died.elapsed() < END_WITHIN, "turn `{turn}` has no end after {:?}", died.elapsed());
            };
            assert!(ended == ["completed"] || ended == ["interrupted"], "{ended:?}");
        }
        longest = longest.max(died.elapsed());
        n_turns += acknowledged.len();
    }
    println!("{n_turns} acknowledged turns; the last end came {longest:?} after a death");
    assert!(n_turns > 0, "some are acknowledged");
}
