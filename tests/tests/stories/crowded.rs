//! A served host and clients that are many, slow, silent or hostile, beside one that is none of it.
//!
//! Fault test 11 and the slowloris family. What is asked is that nothing is lost and nothing grows without a bound; how
//! fast it is, the benches say.

use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const SLOW_READERS: usize = 1_000;
const DELTAS: usize = 20_000;
/// What the host may grow by for all of them together: 96 KiB a reader, half of it what sockets hold.
const GROWTH_KIB_MAX: u64 = 96 * SLOW_READERS as u64;

/// A thousand connections are a thousand files, here too.
pub(crate) fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("in kB");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn said(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "text_delta");
    deltas.filter_map(|event| event["data"]["text"].as_str()).collect()
}

#[test]
fn a_thousand_readers_that_do_not_read_cost_a_bounded_memory_and_keep_nobody_waiting() {
    allow_files();
    let host = Host::new(Script::steps(vec![vec![Action::text_deltas(DELTAS, 0)]]));
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let slow: Vec<TcpStream> = (0..SLOW_READERS)
        .map(|_| {
            let mut stream = TcpStream::connect(&served.address).expect("it listens");
            let head = format!(
                "GET /v1/conversations/{conversation}/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
                served.address, served.token
            );
            stream.write_all(head.as_bytes()).expect("written");
            stream
        })
        .collect();
    // All of them are being answered when each has the first byte of its head.
    for mut stream in &slow {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a duration");
        stream.read_exact(&mut [0]).expect("it is answered");
    }
    let refused = served.ask("GET", &format!("/v1/conversations/{conversation}/events"), None);
    assert_eq!(refused.status, 503, "one more than `sse_clients_max`: {}", refused.text);
    let before = resident_kib(served.pid());
    let started = served.ask(
        "POST",
        &format!("/v1/conversations/{conversation}/turns"),
        Some(&json!({ "input": "speak" })),
    );
    assert_eq!(started.status, 202, "{}", started.text);
    // A quick client among them: what it can ask is answered while the others are stuck.
    let log = format!("/v1/conversations/{conversation}/log?after=0");
    let ended = |page: &Value| {
        page["events"].as_array().is_some_and(|rows| rows.iter().any(|row| row["type"] == "turn_ended"))
    };
    while !ended(&served.ask("GET", &log, None).json()) {}
    let grown = resident_kib(served.pid()).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{SLOW_READERS} readers that do not read cost {grown} KiB");
    drop(slow);
    // Places are free again, and whoever comes back sees all of it once.
    let events = loop {
        if let Some(events) = served.try_events(&conversation, 0, "turn_ended") {
            break events;
        }
    };
    let events: Vec<Value> = events.into_iter().map(|(_, event)| event).collect();
    let expected: String = (0..DELTAS).map(|n| format!("w{n} ")).collect();
    assert!(said(&events) == expected, "{} bytes instead of {}", said(&events).len(), expected.len());
}

#[test]
fn connections_that_say_nothing_drip_or_talk_nonsense_are_closed_and_others_served() {
    let host = Host::new(Script::default());
    let set = [
        "--set",
        "transport-http.header_read_ms=1000",
        "--set",
        "transport-http.body_read_ms=1000",
        "--set",
        "transport-http.keep_alive_ms=1000",
    ];
    let served = Served::start(&host, &set);
    let request = |rest: &str| {
        format!(
            "POST /v1/conversations HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{rest}",
            served.address, served.token
        )
    };
    let openings: Vec<(&str, Vec<u8>)> = vec![
        ("silent", Vec::new()),
        ("half a head", request("x: ").into_bytes()),
        (
            "a body that does not come",
            request("content-type: application/json\r\ncontent-length: 100\r\n\r\n{").into_bytes(),
        ),
        (
            "a gigabyte",
            request("content-type: application/json\r\ncontent-length: 1073741824\r\n\r\n").into_bytes(),
        ),
        ("nonsense", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("a head without end", request(&"x-a: y\r\n".repeat(100_000)).into_bytes()),
        (
            "a chunk that lies",
            request(
                "transfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nffffffffffffffff\r\n{",
            )
            .into_bytes(),
        ),
    ];
    let mut open = Vec::new();
    for (what, bytes) in &openings {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&served.address).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a duration");
            // It may be closed before all is written: that is what is wanted.
            let _ = stream.write_all(bytes);
            open.push((*what, stream));
        }
    }
    assert_eq!(served.ask("GET", "/v1/conversations", None).status, 200, "others are served meanwhile");
    for (what, mut stream) in open {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("`{what}` was not closed: {e}"),
        }
        let text = String::from_utf8_lossy(&rest);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "`{what}`: {text:.200}");
    }
    let list = served.ask("GET", "/v1/conversations", None).json();
    assert_eq!(list["conversations"], json!([]), "none of them made anything");
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
}

#[test]
fn without_the_token_no_route_answers_and_nothing_changes() {
    let host = Host::new(Script::default());
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    let document = served.ask("GET", "/openapi.json", None).json();
    let before = served.ask("GET", "/v1/conversations", None).text;
    let strangers = [None, Some("Bearer wrong".to_owned()), Some(format!("Basic {}", served.token))];
    let mut n_asked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{conversation_id}", &conversation).replace("{turn_id}", "t");
        for method in methods.as_object().expect("methods").keys().filter(|key| *key != "parameters") {
            for credentials in &strangers {
                let answer =
                    served.ask_as(credentials.as_deref(), &method.to_uppercase(), &path, Some(&json!({})));
                let open = path == "/livez" || path == "/readyz";
                assert_eq!(answer.status, if open { 200 } else { 401 }, "{method} {path} as {credentials:?}");
                assert!(!open || answer.text.is_empty(), "{path} says nothing");
                n_asked += 1;
            }
            let in_url = format!("{path}?token={0}&access_token={0}", served.token);
            let answer = served.ask_as(None, &method.to_uppercase(), &in_url, None);
            assert!([200, 401].contains(&answer.status) && (answer.status == 401 || answer.text.is_empty()));
        }
    }
    assert!(n_asked >= 60, "only {n_asked} requests");
    assert_eq!(served.ask("GET", "/v1/conversations", None).text, before, "nothing changed");
    // A new token holds at once, and the old one does not.
    std::fs::write(host.home().join("data/transport-http/token"), "0123456789abcdef0123456789abcdef0123\n")
        .expect("written");
    assert_eq!(served.ask("GET", "/version", None).status, 401);
    let new = Some("Bearer 0123456789abcdef0123456789abcdef0123");
    assert_eq!(served.ask_as(new, "GET", "/version", None).status, 200);
}
