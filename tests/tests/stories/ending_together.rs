//! Many turns that end in the same moment: what each was answered is in its log, and none fails for a limit of ours.

use crate::crowded::allow_files;
use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::Script;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TURNS: usize = 500;
/// Clients that start them.
const CLIENTS: usize = 10;
/// Far beyond what all of it takes on a slow day.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// A model that answers nobody until `n` have asked, and then all of them at once.
fn model_of(n: usize) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let answering = std::thread::spawn(move || {
        let waiting: Vec<TcpStream> =
            (0..n).map(|_| asked(listener.accept().expect("somebody asks").0)).collect();
        let chunk =
            json!({ "choices": [{ "index": 0, "delta": { "content": "done" }, "finish_reason": "stop" }] });
        let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        for mut stream in waiting {
            stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body.as_bytes()))
                .expect("written");
        }
    });
    (base_url, answering)
}

/// Reads a request whole.
fn asked(stream: TcpStream) -> TcpStream {
    let mut reader = BufReader::new(stream);
    let (mut line, mut n_bytes) = (String::new(), 0);
    while reader.read_line(&mut line).expect("a head") > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            n_bytes = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; n_bytes]).expect("a body");
    reader.into_inner()
}

fn started(served: &Served) -> String {
    let conversation = served.conversation();
    let path = format!("/v1/conversations/{conversation}/turns");
    let answer = served.ask("POST", &path, Some(&json!({ "input": "speak" })));
    assert_eq!(answer.status, 202, "{}", answer.text);
    conversation
}

/// How the turn of a conversation ended and what was said in it, once it has ended.
fn end_of(served: &Served, conversation: &str, by: Instant) -> Value {
    loop {
        let log = served.ask("GET", &format!("/v1/conversations/{conversation}/log"), None).json();
        let rows = log["events"].as_array().cloned().unwrap_or_default();
        let of = |kind: &str| rows.iter().find(|row| row["type"] == kind).map(|row| row["data"].clone());
        if let Some(ended) = of("turn_ended") {
            return json!([ended["status"], of("text_delta").unwrap_or_default()["text"], of("error")]);
        }
        assert!(Instant::now() < by, "`{conversation}` has no end: {log}");
    }
}

#[test]
fn of_five_hundred_turns_that_end_at_once_none_is_lost() {
    allow_files();
    let host = Host::new(Script::default());
    let (base_url, answering) = model_of(TURNS);
    let served = Served::start(&host, &["--set", &format!("provider-openai-compat.base_url={base_url}")]);
    let conversations: Vec<String> = std::thread::scope(|scope| {
        let start = || (0..TURNS / CLIENTS).map(|_| started(&served)).collect::<Vec<_>>();
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(start)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("all are accepted")).collect()
    });
    answering.join().expect("all of them ask");
    let by = Instant::now() + WAIT_MAX;
    let ends: Vec<Value> = conversations.iter().map(|id| end_of(&served, id, by)).collect();
    let lost: Vec<&Value> = ends.iter().filter(|end| **end != json!(["completed", "done", null])).collect();
    assert!(lost.is_empty(), "{} of {TURNS} were lost, such as {}", lost.len(), lost[0]);
}
