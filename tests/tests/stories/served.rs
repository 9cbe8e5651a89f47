//! A served host, and a client of it that speaks HTTP as `curl` would: one connection a request.

use crate::host::Host;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// Longest that a test waits for a byte: far beyond what any answer takes.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Most lines of an event stream that are read while waiting for one.
const LINES_MAX: usize = 100_000;

pub(crate) struct Served {
    child: Child,
    /// `127.0.0.1:4711`.
    pub(crate) address: String,
    pub(crate) token: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Served {
    /// `dispatch serve` on a free port, with the provider set to the fake LLM; back when it is ready.
    pub(crate) fn start(host: &Host, words: &[&str]) -> Self {
        let mut command = host.bare(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        command.args(["--set", &format!("provider-openai-compat.base_url={}", host.llm.base_url())]);
        command.args(["--set", "provider-openai-compat.model=scripted"]).args(words);
        command.env("DISPATCH_LOG", "warn");
        Self::spawn(host, command)
    }

    /// The same of a command that says `serve --json` already.
    pub(crate) fn spawn(host: &Host, command: Command) -> Self {
        Self::spawn_at(host.home(), command)
    }

    /// The same with another home.
    pub(crate) fn spawn_at(home: &Path, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        let n = BufReader::new(stdout).read_line(&mut line).expect("readable");
        assert!(n > 0, "it ended before it was ready: {:?}", child.wait());
        let ready: Value = serde_json::from_str(&line).expect("one document");
        let address = ready["listening"][0]["address"].as_str().expect("an address");
        let address = address.strip_prefix("http://").expect("over TCP").to_owned();
        let token = std::fs::read_to_string(home.join("data/transport-http/token")).expect("a token");
        Self { child, address, token: token.trim().to_owned() }
    }

    /// One request; answers the head and a reader of the body.
    fn send(
        &self,
        credentials: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Vec<(String, String)>, Box<dyn std::io::BufRead>) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a duration");
        let authorization = credentials.map(|text| format!("authorization: {text}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}connection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("written");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let reader: Box<dyn std::io::BufRead> = if chunked {
            Box::new(BufReader::new(Chunks { inner: reader, left: 0 }))
        } else {
            Box::new(reader)
        };
        (status, headers, reader)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One request with the host's token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask_as(Some(&self.bearer()), method, path, body)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// One request with these credentials.
    pub(crate) fn ask_as(
        &self,
        credentials: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let (status, headers, mut reader) = self.send(credentials, method, path, body);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("UTF-8");
        Answer { status, headers, text }
    }

    /// The events of a conversation after a cursor, up to the first of type `last`; each with its SSE id.
    pub(crate) fn events(&self, conversation: &str, after: u64, last: &str) -> Vec<(u64, Value)> {
        self.try_events(conversation, after, last).expect("there is a place for a reader")
    }

    /// The same, or nothing when there are as many readers as there may be.
    pub(crate) fn try_events(&self, conversation: &str, after: u64, last: &str) -> Option<Vec<(u64, Value)>> {
        let path = format!("/v1/conversations/{conversation}/events?after={after}");
        let (status, _, mut reader) = self.send(Some(&self.bearer()), "GET", &path, None);
        if status == 503 {
            return None;
        }
        assert_eq!(status, 200);
        let (mut events, mut id, mut line) = (Vec::new(), 0, String::new());
        for _ in 0..LINES_MAX {
            line.clear();
            assert!(reader.read_line(&mut line).expect("readable") > 0, "the stream ended: {events:#?}");
            if let Some(value) = line.strip_prefix("id: ") {
                id = value.trim().parse().expect("a number");
            } else if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).expect("JSON");
                let ends = event["type"] == last;
                events.push((id, event));
                if ends {
                    return Some(events);
                }
            }
        }
        panic!("no `{last}` among {LINES_MAX} lines")
    }

    /// A new conversation.
    pub(crate) fn conversation(&self) -> String {
        let made = self.ask("POST", "/v1/conversations", Some(&serde_json::json!({})));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["conversation"]["id"].as_str().expect("an id").to_owned()
    }

    /// One turn from its start to its end.
    pub(crate) fn turn(&self, conversation: &str, params: &Value) -> Vec<Value> {
        let path = format!("/v1/conversations/{conversation}/turns");
        let started = self.ask("POST", &path, Some(params));
        assert_eq!(started.status, 202, "{}", started.text);
        let cursor = started.json()["cursor"].as_u64().expect("a cursor");
        self.events(conversation, cursor, "turn_ended").into_iter().map(|(_, event)| event).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "std sends no signal but SIGKILL")]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// What it writes to standard error, if the command piped it.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("piped, and not taken yet")
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("waited").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended; what a failed test leaves must not live on.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A chunked body, unwrapped.
struct Chunks<R> {
    inner: R,
    left: usize,
}

impl<R: std::io::BufRead> std::io::Read for Chunks<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            self.inner.read_line(&mut line)?;
            if line.trim().is_empty() {
                // The end of the chunk before.
                line.clear();
                self.inner.read_line(&mut line)?;
            }
            self.left = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = self.left.min(buf.len());
        let n = self.inner.read(&mut buf[..most])?;
        self.left -= n;
        Ok(n)
    }
}
