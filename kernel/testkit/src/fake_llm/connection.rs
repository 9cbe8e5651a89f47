//! One HTTP/1.1 connection: reads requests, and notices a client that leaves. Written by hand because tests cut, stall and split where a framework would not let them. It must not know what is answered.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Most bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes kept of what a client sends ahead of its answer.
const AHEAD_BYTES_MAX: usize = HEAD_BYTES_MAX + BODY_BYTES_MAX;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client closed or reset it.
    ClientLeft,
    /// The script closed it.
    Cut,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        // On a connected socket every error means the same: nobody is there.
        Self::ClientLeft
    }
}

/// A request that cannot be read: the status and the reason to answer.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) status: u16,
    pub(super) reason: String,
}

/// What came instead of a request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// The client is gone, or closed between two requests.
    Gone,
    Unreadable(Unreadable),
}

impl From<Ended> for NoRequest {
    fn from(_: Ended) -> Self {
        Self::Gone
    }
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// A request as it came.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case, in order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The first header of this lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn unreadable(status: u16, reason: impl Into<String>) -> NoRequest {
    let reason = reason.into();
    NoRequest::Unreadable(Unreadable { status, reason })
}

/// A socket and what was read from it but not used.
pub(super) struct Connection {
    // Not split: a dropped write half would send FIN before the reset a script asks for.
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Only latency is at stake if this fails.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// Reads the next request whole; `Gone` when the client closes between two.
    pub(super) async fn read_request(&mut self) -> Result<Request, NoRequest> {
        let head = loop {
            if let Some(head) = parse_head(&self.ahead)? {
                break head;
            }
            if self.ahead.len() > HEAD_BYTES_MAX {
                return Err(unreadable(431, "the head is over 64 KiB"));
            }
            self.read_more().await?;
        };
        self.ahead.drain(..head.bytes);
        let mut request = head.request;
        if request.header("expect") == Some("100-continue") {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = if request.header("transfer-encoding") == Some("chunked") {
            self.read_chunked().await?
        } else {
            let length = request.header("content-length").unwrap_or("0");
            let length: usize =
                length.parse().map_err(|_| unreadable(400, format!("`content-length: {length}`")))?;
            self.take(length).await?
        };
        Ok(request)
    }

    async fn read_chunked(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| unreadable(400, format!("chunk of size `{line}`")))?;
            if size == 0 {
                while !self.take_line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len().saturating_add(size) > BODY_BYTES_MAX {
                return Err(unreadable(413, "the body is over 64 MiB"));
            }
            body.extend(self.take(size).await?);
            if self.take(2).await? != b"\r\n" {
                return Err(unreadable(400, "a chunk without its end of line"));
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, NoRequest> {
        if length > BODY_BYTES_MAX {
            return Err(unreadable(413, "the body is over 64 MiB"));
        }
        while self.ahead.len() < length {
            self.read_more().await?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn take_line(&mut self) -> Result<String, NoRequest> {
        let end = loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            if self.ahead.len() > HEAD_BYTES_MAX {
                return Err(unreadable(400, "a chunk's head is over 64 KiB"));
            }
            self.read_more().await?;
        };
        let line = self.take(end).await?;
        self.take(2).await?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits; ends early only when the client leaves.
    pub(super) async fn wait(&mut self, wait_ms: u64) -> Result<(), Ended> {
        if wait_ms == 0 {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let pause = tokio::time::sleep(Duration::from_millis(wait_ms));
        tokio::select! {
            () = pause => Ok(()),
            ended = self.left() => Err(ended),
        }
    }

    /// Resolves when the client leaves; what it sends meanwhile is kept for later.
    pub(super) async fn left(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.read_more().await {
                return ended;
            }
        }
    }

    /// Makes the close that follows a reset.
    pub(super) fn reset_on_close(&self) {
        // If it fails the client sees an ordinary close, and the test that asked for a reset says so.
        let _ = self.stream.set_zero_linger();
    }

    async fn read_more(&mut self) -> Result<(), Ended> {
        if self.ahead.len() > AHEAD_BYTES_MAX {
            return Err(Ended::Cut);
        }
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(Ended::ClientLeft),
            _ => Ok(()),
        }
    }
}

struct Head {
    bytes: usize,
    request: Request,
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).map_err(|error| match error {
        httparse::Error::TooManyHeaders => unreadable(431, "over 100 headers"),
        other => unreadable(400, other.to_string()),
    })?;
    let httparse::Status::Complete(head_bytes) = status else {
        return Ok(None);
    };
    if parsed.version != Some(1) {
        return Err(unreadable(505, "only HTTP/1.1 is spoken here"));
    }
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    Ok(Some(Head {
        bytes: head_bytes,
        request: Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: parsed.path.unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: Vec::new(),
        },
    }))
}
