//! A client on a bare socket: it keeps what a framework would hide, such as pieces and missing ends.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::super::FakeLlm;
use super::SOON;

pub(super) struct Client {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// How a response ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As HTTP says.
    Whole,
    /// Closed before its end.
    Closed,
    /// Reset before its end.
    Reset,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) head: String,
    /// The HTTP chunks of the body; one piece if it had a length.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) end: End,
}

impl Client {
    pub(super) fn connect(fake: &FakeLlm) -> Self {
        let stream = TcpStream::connect(fake.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn send_json(&mut self, body: &Value) {
        let body = body.to_string();
        let length = body.len();
        self.send(format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
    }

    pub(super) fn post(&mut self, body: &Value) -> Response {
        self.send_json(body);
        self.response()
    }

    pub(super) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        self.response()
    }

    /// Reads until this text came.
    pub(super) fn read_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.ahead).contains(text) {
            self.more().expect("the text comes before the end");
        }
    }

    pub(super) fn response(&mut self) -> Response {
        let mut response = Response { status: 0, head: String::new(), pieces: Vec::new(), end: End::Whole };
        if let Err(end) = self.read_into(&mut response) {
            response.end = end;
        }
        response
    }

    /// Drops a head without a body, such as `100 Continue`.
    pub(super) fn skip_head(&mut self) {
        while !self.line().unwrap().is_empty() {}
    }

    fn read_into(&mut self, response: &mut Response) -> Result<(), End> {
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
            let name = name.to_lowercase();
            response.head.push_str(&format!("{name}: {value}\n"));
        }
        response.status = response.head[9..12].parse().unwrap();
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().unwrap();
            let fetched = self.take(length);
            response.pieces.push(fetched.0);
            return fetched.1;
        }
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            let (piece, end) = self.take(size);
            if size > 0 {
                response.pieces.push(piece);
            }
            end?;
            assert_eq!(self.line()?, "");
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.ahead.drain(..at + 2).collect::<Vec<u8>>();
                return Ok(String::from_utf8(line[..at].to_vec()).unwrap());
            }
            self.more()?;
        }
    }

    /// What came of these bytes, and how it ended.
    fn take(&mut self, length: usize) -> (Vec<u8>, Result<(), End>) {
        while self.ahead.len() < length {
            if let Err(end) = self.more() {
                return (std::mem::take(&mut self.ahead), Err(end));
            }
        }
        (self.ahead.drain(..length).collect(), Ok(()))
    }

    fn more(&mut self) -> Result<(), End> {
        let mut block = [0; 64 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.ahead.extend_from_slice(&block[..n]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(End::Reset),
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next()
    }

    pub(super) fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(super) fn body_text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    /// What stands after each `data: `.
    pub(super) fn data(&self) -> Vec<String> {
        let text = self.body_text();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_owned).collect()
    }

    /// The events that are JSON.
    pub(super) fn chunks(&self) -> Vec<Value> {
        let data = self.data();
        let chunks = data.iter().filter_map(|text| serde_json::from_str(text).ok());
        chunks.collect()
    }
}
