//! The client's side of HTTP/1.1 over a bare socket: requests, and bodies that come in chunks. As cheap as it can be,
//! for it shares the machine with what it measures.
//!
//! It must not know what is in a body.

use crate::Trouble;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of an answer that is read whole.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// Where a server is, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
}

/// A connection that is kept for the next request.
pub(crate) struct Connection {
    stream: TcpStream,
    server: Server,
    /// Read and not yet used.
    ahead: Vec<u8>,
    read: Vec<u8>,
}

/// What comes before a body.
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
}

fn lost(e: std::io::Error) -> Trouble {
    format!("the connection was lost: {e}")
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(server.address)
            .await
            .map_err(|e| format!("cannot connect to {}: {e}", server.address))?;
        // Only latency is at stake.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, server: server.clone(), ahead: Vec::new(), read: vec![0; READ_BYTES] })
    }

    /// Sends a request; the answer is read by one of the other functions.
    async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(), Trouble> {
        let authorization = match &self.server.token {
            Some(token) => format!("authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let content = if method == "POST" {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
        } else {
            String::new()
        };
        let address = self.server.address;
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}{content}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.map_err(lost)
    }

    /// Posts a JSON body and answers the status and the JSON that comes back.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<(u16, Value), Trouble> {
        self.send("POST", path, &body.to_string()).await?;
        let head = self.head().await?;
        let body = self.whole(&head).await?;
        let value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).map_err(|e| format!("cannot read the answer of {path}: {e}"))?
        };
        Ok((head.status, value))
    }

    /// Posts and expects success.
    pub(crate) async fn post_ok(&mut self, path: &str, body: &Value) -> Result<Value, Trouble> {
        match self.post(path, body).await? {
            (200..=299, value) => Ok(value),
            (status, value) => Err(format!("`POST {path}` was answered {status}: {value}")),
        }
    }

    /// Opens a body that does not end.
    pub(crate) async fn open_stream(mut self, method: &str, path: &str, body: &str) -> Result<Body, Trouble> {
        self.send(method, path, body).await?;
        let head = self.head().await?;
        if head.status != 200 {
            let body = self.whole(&head).await?;
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(format!("`{method} {path}` was answered {}: {said}", head.status));
        }
        let raw = std::mem::take(&mut self.ahead);
        let (chunked, text) = (head.chunked, Vec::new());
        let mut body = Body { connection: self, chunked, left: 0, raw, over: false, unseen: false, text };
        body.unpack()?;
        body.unseen = !body.text.is_empty();
        Ok(body)
    }

    async fn head(&mut self) -> Result<Head, Trouble> {
        loop {
            if let Some((head, bytes)) = parse_head(&self.ahead)? {
                self.ahead.drain(..bytes);
                return Ok(head);
            }
            if self.ahead.len() > HEAD_BYTES_MAX {
                return Err("the head of an answer is too long".to_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Trouble> {
        let n = self.stream.read(&mut self.read).await.map_err(lost)?;
        if n == 0 {
            return Err("the server closed the connection in the middle of an answer".to_owned());
        }
        self.ahead.extend_from_slice(&self.read[..n]);
        Ok(())
    }

    async fn whole(&mut self, head: &Head) -> Result<Vec<u8>, Trouble> {
        if head.chunked {
            let mut body = Vec::new();
            let (mut left, mut over) = (0, false);
            loop {
                unchunk(&mut self.ahead, &mut left, &mut over, &mut body)?;
                if over {
                    return Ok(body);
                }
                if body.len() > BODY_BYTES_MAX {
                    return Err("an answer is too long".to_owned());
                }
                self.more().await?;
            }
        }
        let length = head.length.unwrap_or(0);
        if length > BODY_BYTES_MAX {
            return Err("an answer is too long".to_owned());
        }
        while self.ahead.len() < length {
            self.more().await?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Trouble> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let state = parsed.parse(bytes).map_err(|e| format!("an answer is no HTTP: {e}"))?;
    let httparse::Status::Complete(n) = state else { return Ok(None) };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = header("content-length").and_then(|value| value.parse().ok());
    Ok(Some((Head { status: parsed.code.unwrap_or(0), length, chunked }, n)))
}

/// Moves what is whole from `raw` to `text`; `left` is what is missing of the chunk at hand, its line feed included.
fn unchunk(raw: &mut Vec<u8>, left: &mut usize, over: &mut bool, text: &mut Vec<u8>) -> Result<(), Trouble> {
    /// The line feed behind a chunk.
    const TAIL: usize = 2;
    let mut at = 0;
    while at < raw.len() && !*over {
        if *left > 0 {
            let n = (*left).min(raw.len() - at);
            let of_text = left.saturating_sub(TAIL).min(n);
            text.extend_from_slice(&raw[at..at + of_text]);
            at += n;
            *left -= n;
            continue;
        }
        let Some(line) = raw[at..].windows(2).position(|pair| pair == b"\r\n") else { break };
        let size = String::from_utf8_lossy(&raw[at..at + line]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("a chunk of size `{size}`"))?;
        at += line + 2;
        if size == 0 {
            // The empty line of a body without trailers.
            at = (at + TAIL).min(raw.len());
            *over = true;
        } else {
            *left = size + TAIL;
        }
    }
    raw.drain(..at);
    Ok(())
}

/// A body on its way.
pub(crate) struct Body {
    connection: Connection,
    chunked: bool,
    left: usize,
    raw: Vec<u8>,
    over: bool,
    /// Something came with the head, and nobody was told yet.
    unseen: bool,
    /// What has come of it and was not taken yet.
    pub(crate) text: Vec<u8>,
}

impl Body {
    /// Waits for more text; false = the body is over.
    pub(crate) async fn more(&mut self) -> Result<bool, Trouble> {
        if std::mem::take(&mut self.unseen) {
            return Ok(true);
        }
        let before = self.text.len();
        while self.text.len() == before && !self.over {
            let n = self.connection.stream.read(&mut self.connection.read).await.map_err(lost)?;
            if n == 0 {
                self.over = true;
                break;
            }
            self.raw.extend_from_slice(&self.connection.read[..n]);
            self.unpack()?;
        }
        Ok(self.text.len() > before)
    }

    /// The connection for the next request, if the body is over and the server did not close it.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        (self.over && self.chunked).then(|| Connection { ahead: self.raw, ..self.connection })
    }

    fn unpack(&mut self) -> Result<(), Trouble> {
        if self.chunked {
            return unchunk(&mut self.raw, &mut self.left, &mut self.over, &mut self.text);
        }
        self.text.append(&mut self.raw);
        Ok(())
    }
}
