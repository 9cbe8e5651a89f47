//! The floor: the barest server with the host's surface. It parses every event of the model, writes its own, and keeps
//! nothing.
//!
//! It must not know the host. It answers the three requests of the load client and no others, does not check who asks,
//! and runs in a process of its own, so that its time and memory can be told.

use crate::Trouble;
use crate::http::{Body, Connection, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

type Listener = Arc<tokio::sync::Mutex<TcpStream>>;

struct Floor {
    upstream: Server,
    next_id: AtomicU64,
    /// Who listens to a conversation; locked by the turn that writes.
    listeners: Mutex<HashMap<String, Listener>>,
    /// Connections to the model that are kept.
    idle: Mutex<Vec<Connection>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

/// Serves before the model at `upstream` until it is ended; says where on its first line.
pub(crate) fn child(upstream: &str) -> Result<(), Trouble> {
    let address: SocketAddr = upstream.parse().map_err(|_| format!("`{upstream}` is no address"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| format!("cannot listen: {e}"))?;
        let own = listener.local_addr().map_err(|e| format!("cannot tell where it listens: {e}"))?;
        println!("listening on http://{own}");
        let floor = Arc::new(Floor {
            upstream: Server { address, token: None },
            next_id: AtomicU64::new(1),
            listeners: Mutex::default(),
            idle: Mutex::default(),
        });
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // Only latency is at stake.
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(Arc::clone(&floor), stream));
        }
    })
}

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

async fn serve(floor: Arc<Floor>, mut stream: TcpStream) {
    let mut ahead = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut ahead).await {
        let words: Vec<&str> = request.path.split(['/', '?']).skip(1).collect();
        match (request.method.as_str(), words.as_slice()) {
            ("POST", ["v1", "conversations"]) => {
                let id = floor.next_id.fetch_add(1, Ordering::Relaxed);
                answer(&mut stream, 201, &json!({ "conversation": { "id": format!("c{id}") } })).await;
            }
            ("POST", ["v1", "conversations", id, "turns"]) => {
                let turn: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                answer(&mut stream, 202, &json!({ "turn_id": "t", "cursor": 0, "durable": false })).await;
                tokio::spawn(run(Arc::clone(&floor), (*id).to_owned(), turn));
            }
            ("GET", ["v1", "conversations", id, "events", ..]) => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                // First, so that a turn that is started when the head has come finds it.
                let listener = Arc::new(tokio::sync::Mutex::new(stream));
                let mut locked = listener.lock().await;
                floor.keep(id, Arc::clone(&listener));
                // A client that left finds out itself.
                let _ = locked.write_all(head.as_bytes()).await;
                return;
            }
            _ => {
                answer(&mut stream, 404, &json!({ "error": "the floor has three routes" })).await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, ahead: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(request) = whole_request(ahead) {
            return Some(request);
        }
        let read = stream.read_buf(ahead).await;
        if ahead.len() > REQUEST_BYTES_MAX || !matches!(read, Ok(1..)) {
            return None;
        }
    }
}

/// Takes one request off the front, if it is there whole.
fn whole_request(ahead: &mut Vec<u8>) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head_bytes)) = parsed.parse(ahead) else { return None };
    let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok()).unwrap_or(0);
    let whole = head_bytes + length;
    if ahead.len() < whole {
        return None;
    }
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        body: ahead[head_bytes..whole].to_vec(),
    };
    ahead.drain(..whole);
    Some(request)
}

async fn answer(stream: &mut TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Bare\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // A client that left needs no answer.
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

/// Asks the model and writes what it says as events of our own.
async fn run(floor: Arc<Floor>, id: String, turn: Value) {
    let Some(listener) = floor.listener(&id) else { return };
    let mut listener = listener.lock().await;
    let (mut seq, mut out) = (0, Vec::new());
    let passed = pass_on(&floor, &turn, &mut listener, &mut seq, &mut out).await;
    if let Err(trouble) = &passed {
        eprintln!("floor: {trouble}");
    }
    seq += 1;
    let status = if passed.is_ok() { "completed" } else { "failed" };
    event(&mut out, seq, "turn_ended", &json!({ "status": status }));
    // A client that left does not miss it.
    let _ = write_chunk(&mut listener, &mut out).await;
}

async fn pass_on(
    floor: &Floor,
    turn: &Value,
    listener: &mut TcpStream,
    seq: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), Trouble> {
    let mut body = floor.ask(turn).await?;
    while body.more().await? {
        let used = take_data(&body.text, |data| {
            let chunk: Chunk = serde_json::from_slice(data)
                .map_err(|e| format!("cannot read {}: {e}", String::from_utf8_lossy(data)))?;
            let text = chunk.choices.into_iter().next().and_then(|choice| choice.delta.content);
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                *seq += 1;
                event(out, *seq, "text_delta", &Text { text: &text });
            }
            Ok(())
        })?;
        body.text.drain(..used);
        // What one read brought goes out in one write.
        write_chunk(listener, out).await.map_err(|e| format!("the listener left: {e}"))?;
    }
    floor.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(body.into_connection());
    Ok(())
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Event<'a, T> {
    seq: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    data: &'a T,
}

fn event(out: &mut Vec<u8>, seq: u64, kind: &str, data: &impl Serialize) {
    write!(out, "id: {seq}\nevent: {kind}\ndata: ").expect("a vector takes all bytes");
    serde_json::to_writer(&mut *out, &Event { seq, kind, data }).expect("plain");
    out.extend_from_slice(b"\n\n");
}

/// Hands the data of every whole event to `data`, the last one's `[DONE]` excepted; answers how many bytes they were.
fn take_data(text: &[u8], mut data: impl FnMut(&[u8]) -> Result<(), Trouble>) -> Result<usize, Trouble> {
    let mut used = 0;
    while let Some(line) = text[used..].iter().position(|byte| *byte == b'\n') {
        let whole = &text[used..used + line];
        used += line + 1;
        match whole.strip_prefix(b"data: ") {
            Some(b"[DONE]") | None => {}
            Some(json) => data(json)?,
        }
    }
    Ok(used)
}

async fn write_chunk(listener: &mut TcpStream, out: &mut Vec<u8>) -> std::io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let head = format!("{:x}\r\n", out.len());
    out.splice(..0, head.into_bytes());
    out.extend_from_slice(b"\r\n");
    let written = listener.write_all(out).await;
    out.clear();
    written
}

impl Floor {
    fn keep(&self, id: &str, listener: Listener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), listener);
    }

    fn listener(&self, id: &str) -> Option<Listener> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    async fn ask(&self, turn: &Value) -> Result<Body, Trouble> {
        let message = json!({ "role": "user", "content": turn["input"] });
        let body = json!({ "model": turn["model"], "stream": true, "messages": [message] }).to_string();
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.upstream).await?,
        };
        connection.open_stream("POST", "/v1/chat/completions", &body).await
    }
}
