//! The way to an endpoint: proxies of the environment, the example of the README, a key that changes while the host serves.

use crate::host::{Host, only};
use crate::operating::{Log, configure};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, FakeLlm, Rule, Script};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

/// A proxy that answers whatever it is asked for, and hands on the first line of each request.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(socket);
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).expect("a request");
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().expect("a number");
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).expect("a body");
            let event =
                json!({ "choices": [{ "delta": { "content": "from afar" }, "finish_reason": "stop" }] });
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let answer = format!("{head}data: {event}\n\ndata: [DONE]\n\n");
            reader.get_mut().write_all(answer.as_bytes()).expect("the client reads");
            if tell.send(first).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

#[test]
fn the_proxies_of_the_environment_are_honoured_and_loopback_needs_none() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("from here")])]));
    let (address, asked) = proxy();
    let at = format!("http://{address}");
    let afar = ["--set", "provider-openai-compat.base_url=http://model.example/v1", "hi"];
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let output = host.command(&afar).env(name, &at).output().expect("started");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "from afar", "{name}: {output:?}");
        let first = asked.recv().expect("it was asked");
        assert_eq!(first, "POST http://model.example/v1/chat/completions HTTP/1.1\r\n", "{name}");
    }
    let output =
        host.command(&["hi"]).env("HTTP_PROXY", &at).env("ALL_PROXY", &at).output().expect("started");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "from here", "{output:?}");
    let mut refused = host.command(&afar);
    refused.env("HTTP_PROXY", &at).env("NO_PROXY", "example");
    refused.args(["--set", "retry-backoff.unreachable_delays_ms=[]"]);
    assert_eq!(refused.output().expect("started").status.code(), Some(75), "nobody is called model.example");
    assert!(asked.try_recv().is_err(), "the proxy was asked for what needs none");
}

#[test]
fn the_fake_model_answers_the_name_that_the_documents_use() {
    let host = Host::new(Script::default());
    let ran = host.run(&["--model", "local", "hello"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("you said: hello"), "{}", ran.stdout);
}

#[test]
fn a_hangup_brings_another_endpoint_another_key_and_another_model_to_the_provider() {
    let says = |text: &str, key: &str| {
        let mut script = Script::rules(vec![Rule::always(vec![Action::text(text)])]);
        script.api_key = Some(key.to_owned());
        script
    };
    let host = Host::new(says("the first", "key-number-1"));
    let other = FakeLlm::start(says("the second", "key-number-2"));
    let provider = |base_url: &str, key: &str, model: &str| {
        let text = format!(
            "[provider-openai-compat]\nbase_url = \"{base_url}\"\napi_key = \"{key}\"\nmodel = \"{model}\"\n"
        );
        configure(&host, &text);
    };
    provider(&host.llm.base_url(), "key-number-1", "m-1");
    let mut command = host.bare(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command.env("DISPATCH_LOG", "info").stderr(Stdio::piped());
    let mut served = Served::spawn(&host, command);
    let mut log = Log(BufReader::new(served.stderr()));
    let conversation = served.conversation();
    let turn = || {
        let params = json!({ "parts": [{ "type": "text", "text": "hi" }] });
        let events = served.turn(&conversation, &params);
        only(&events, "text_delta")["text"].clone()
    };
    assert_eq!(turn(), "the first");
    provider(&other.base_url(), "key-number-2", "m-2");
    served.signal("HUP");
    let line = log.until("reloaded");
    assert!(line.contains("provider-openai-compat") && line.contains("api_key"), "{line}");
    assert_eq!(turn(), "the second");
    assert_eq!(other.requests()[0].body["model"], "m-2");
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
}
