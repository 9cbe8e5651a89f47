//! A client that sends the bytes it is told to, and reads responses strictly.

use super::PATIENCE;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection.
pub(super) struct Client {
    pub(super) io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// One response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Code of a problem, which must be one.
    pub(super) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().expect("a code").to_owned()
    }
}

impl Client {
    pub(super) fn new(io: impl Io + 'static) -> Self {
        Self { io: Box::new(io), buffer: Vec::new() }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the connection takes bytes");
    }

    /// Writes what the other side still takes.
    pub(super) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await
    }

    /// Says that nothing more comes.
    pub(super) async fn finish(&mut self) {
        // The other side may have closed already.
        let _ = self.io.shutdown().await;
    }

    pub(super) async fn ask(&mut self, request: &str) -> Response {
        self.write(request.as_bytes()).await;
        let is_head = request.starts_with("HEAD ");
        self.response(is_head).await
    }

    /// Reads one response whole.
    pub(super) async fn response(&mut self, is_head: bool) -> Response {
        tokio::time::timeout(PATIENCE, self.read_response(is_head)).await.expect("a response comes")
    }

    async fn read_response(&mut self, is_head: bool) -> Response {
        let mut response = self.read_head().await;
        if is_head || response.status == 204 {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                response.body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a number");
            response.body = self.take(length).await;
        }
        response
    }

    /// Reads the head alone.
    pub(super) async fn read_head(&mut self) -> Response {
        let status = self.line().await;
        let status = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).expect("a status line");
        let status = status.parse().expect("a number");
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Response { status, headers, body: Vec::new() }
    }

    /// The next chunk of a body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line().await;
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        let chunk = self.take(size).await;
        self.line().await;
        (size > 0).then_some(chunk)
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let rest = self.buffer.split_off(at + 2);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.truncate(at);
                return String::from_utf8(line).expect("text");
            }
            assert!(self.more().await, "the connection ended in a head: {:?}", self.buffer);
        }
    }

    async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            assert!(self.more().await, "the connection ended in a body");
        }
        let rest = self.buffer.split_off(n);
        std::mem::replace(&mut self.buffer, rest)
    }

    async fn more(&mut self) -> bool {
        let read = self.io.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("bytes come");
        read.is_ok_and(|n| n > 0)
    }

    /// Reads until the other side closes; everything that came.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }
}

/// Events of a stream, one after another.
pub(super) struct Stream {
    client: Client,
    text: String,
    ended: bool,
}

/// One event: `(id, event, data)`, or a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Data { id: String, name: String, data: String },
    Comment(String),
    Retry,
    End,
}

impl Stream {
    /// Reads the head, which must be one of a stream.
    pub(super) async fn of(mut client: Client) -> Self {
        let head = client.read_head().await;
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("x-accel-buffering"), Some("no"), "a proxy would hold the events back");
        assert_eq!(head.header("cache-control"), Some("no-store"));
        Self { client, text: String::new(), ended: false }
    }

    /// The next event, comments included.
    pub(super) async fn raw(&mut self) -> Event {
        while !self.text.contains("\n\n") && !self.ended {
            match self.client.chunk().await {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk).expect("text")),
                None => self.ended = true,
            }
        }
        let Some((block, rest)) = self.text.split_once("\n\n") else { return Event::End };
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.text = rest;
        let (mut id, mut name, mut data) = (String::new(), String::new(), Vec::new());
        for line in block.lines() {
            match line.split_once(':').expect("a field") {
                ("", comment) => return Event::Comment(comment.trim().to_owned()),
                ("id", value) => value.trim().clone_into(&mut id),
                ("event", value) => value.trim().clone_into(&mut name),
                ("data", value) => data.push(value.strip_prefix(' ').expect("a space").to_owned()),
                ("retry", _) => return Event::Retry,
                other => panic!("{other:?}"),
            }
        }
        Event::Data { id, name, data: data.join("\n") }
    }

    /// The next event that says something.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match self.raw().await {
                Event::Comment(_) | Event::Retry => {}
                event => return event,
            }
        }
    }
}

/// An event as it is expected.
pub(super) fn event(id: &str, name: &str, data: &str) -> Event {
    Event::Data { id: id.to_owned(), name: name.to_owned(), data: data.to_owned() }
}
