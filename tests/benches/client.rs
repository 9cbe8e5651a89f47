//! The load client: conversations, turns, and the events of a conversation, each event timed as it comes.
//!
//! It must not know which server it talks to: the host's and the floor's surface is the same.

use crate::Trouble;
use crate::http::{Body, Connection, Server};
use crate::timing::ms;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long one turn may take before the bench gives up on it.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(60);

/// The clock of the stamps that the fake LLM writes: unix nanoseconds, read once and counted on from there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampClock {
    began: Instant,
    began_ns: u64,
}

impl StampClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "stamps come from another process, which counts from the same clock"
    )]
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_ns: since.as_nanos() as u64 }
    }

    fn at_ns(&self, at: Instant) -> u64 {
        self.began_ns + (at - self.began).as_nanos() as u64
    }
}

/// The events of one conversation.
pub(crate) struct Events {
    body: Body,
    clock: StampClock,
}

/// One turn as its client saw it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// From the request of the turn, in ms.
    pub(crate) accepted_ms: f64,
    pub(crate) first_delta_ms: f64,
    pub(crate) ended_ms: f64,
    /// Whether it completed.
    pub(crate) completed: bool,
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Text by the number of its event; a row that comes again whole replaces what it covers.
    pieces: Vec<(u64, String)>,
    /// From each stamp in the text to its receipt, in ms.
    pub(crate) delta_ms: Vec<f64>,
    /// Longest time between two events of text, in ms.
    pub(crate) gap_max_ms: f64,
    last_text: Option<Instant>,
    /// A stamp that goes on in the next event.
    rest: String,
}

impl Seen {
    /// The text, put together.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    seq_first: Option<u64>,
    #[serde(default)]
    rebased: bool,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
}

/// Makes a conversation and answers its id.
pub(crate) async fn conversation(connection: &mut Connection) -> Result<String, Trouble> {
    let made = connection.post_ok("/v1/conversations", &json!({})).await?;
    let id = made["conversation"]["id"].as_str();
    Ok(id.ok_or_else(|| format!("a new conversation without an id: {made}"))?.to_owned())
}

/// Starts a turn and answers the ack.
pub(crate) async fn start(
    connection: &mut Connection,
    conversation_id: &str,
    turn: &Value,
) -> Result<Value, Trouble> {
    connection.post_ok(&format!("/v1/conversations/{conversation_id}/turns"), turn).await
}

impl Events {
    /// Listens to a conversation from event `after` on.
    pub(crate) async fn open(
        server: &Server,
        conversation_id: &str,
        after: u64,
        clock: StampClock,
    ) -> Result<Self, Trouble> {
        let connection = Connection::open(server).await?;
        let path = format!("/v1/conversations/{conversation_id}/events?after={after}");
        Ok(Self { body: connection.open_stream("GET", &path, "").await?, clock })
    }

    /// Reads until a turn has ended.
    pub(crate) async fn turn(&mut self, began: Instant) -> Result<Seen, Trouble> {
        let mut seen = Seen::default();
        let read = async {
            loop {
                // What has just been read came now.
                let at = Instant::now();
                let used = take_events(&self.body.text, |kind, data| {
                    seen.event(kind, data, at, began, &self.clock)
                })?;
                seen.bytes += used;
                self.body.text.drain(..used);
                if seen.ended_ms > 0.0 {
                    return Ok::<_, Trouble>(());
                }
                if !self.body.more().await? {
                    return Err("the events ended before the turn did".to_owned());
                }
            }
        };
        tokio::time::timeout(TURN_MAX, read)
            .await
            .map_err(|_| format!("a turn did not end within {} s", TURN_MAX.as_secs()))??;
        Ok(seen)
    }
}

/// Hands every whole event to `event` as its type and data, and answers how many bytes they were.
fn take_events(
    text: &[u8],
    mut event: impl FnMut(&[u8], &[u8]) -> Result<(), Trouble>,
) -> Result<usize, Trouble> {
    let (mut at, mut used) = (0, 0);
    let (mut kind, mut data): (&[u8], &[u8]) = (b"", b"");
    while let Some(line) = text[at..].iter().position(|byte| *byte == b'\n') {
        let whole = &text[at..at + line];
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        at += line + 1;
        if whole.is_empty() {
            if !data.is_empty() {
                event(kind, data)?;
            }
            (kind, data) = (b"", b"");
            used = at;
        } else if let Some(value) = whole.strip_prefix(b"event:") {
            kind = value.trim_ascii_start();
        } else if let Some(value) = whole.strip_prefix(b"data:") {
            data = value.trim_ascii_start();
        }
    }
    Ok(used)
}

impl Seen {
    fn event(
        &mut self,
        kind: &[u8],
        data: &[u8],
        at: Instant,
        began: Instant,
        clock: &StampClock,
    ) -> Result<(), Trouble> {
        self.events += 1;
        match kind {
            b"text_delta" => {
                let event = envelope(data)?;
                if self.first_delta_ms == 0.0 {
                    self.first_delta_ms = ms(at - began);
                }
                if let Some(before) = self.last_text.replace(at) {
                    self.gap_max_ms = self.gap_max_ms.max(ms(at - before));
                }
                self.stamps(&event.data.text, clock.at_ns(at));
                if event.rebased {
                    let first = event.seq_first.unwrap_or(event.seq);
                    self.pieces.retain(|(seq, _)| *seq < first);
                }
                self.pieces.push((event.seq, event.data.text.into_owned()));
            }
            b"turn_ended" => {
                let event = envelope(data)?;
                self.completed = event.data.status == "completed";
                self.ended_ms = ms(at - began);
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the stamps in a text, as `fake-text-<n>-stamp` writes them; other words are none.
    fn stamps(&mut self, text: &str, now_ns: u64) {
        for (idx, word) in text.split(' ').enumerate() {
            if idx > 0 {
                if let Ok(stamp) = self.rest.parse::<u64>() {
                    self.delta_ms.push(now_ns.saturating_sub(stamp) as f64 / 1e6);
                }
                self.rest.clear();
            }
            self.rest.push_str(word);
        }
    }
}

fn envelope(data: &[u8]) -> Result<Envelope<'_>, Trouble> {
    serde_json::from_slice(data)
        .map_err(|e| format!("cannot read the event {}: {e}", String::from_utf8_lossy(data)))
}
