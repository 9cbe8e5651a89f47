//! One `provider.v1/stream`: the request out, the answer read as it comes, frames shown as credit allows.

use crate::chunks::Interpreter;
use crate::config::Settings;
use crate::endpoint::{Endpoint, causes, media_type, send, stalled, whole_body};
use crate::request;
use crate::sse::{LINE_BYTES_MAX, SseParser, TooLong};
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::{FaultClass, StreamFrame, StreamParams, StreamReply};
use dispatch_sdk::{Call, Fault};
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long the usage is waited for after the finish reason.
const AFTER_FINISH_WAIT: Duration = Duration::from_millis(1_000);
/// How long the end of the body is waited for after `[DONE]`, in the background, so that the socket can be used again.
const AFTER_DONE_WAIT: Duration = Duration::from_millis(1_000);
/// The longest answer of a server that does not stream, in bytes.
const PLAIN_BODY_BYTES_MAX: usize = 4 << 20;

/// Why a stream ended early.
pub(crate) enum Stop {
    /// The endpoint's trouble, still to be masked.
    Trouble(Trouble),
    /// Our caller's: nobody takes frames any more.
    Caller(Fault),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Asks the endpoint and shows what it answers. Dropping the future closes the socket.
pub(crate) async fn stream(
    settings: &Settings,
    endpoint: &Endpoint,
    call: &Call,
    params: StreamParams,
) -> Result<StreamReply, Stop> {
    let url = settings.url("chat/completions")?;
    let model = settings.model(&params.model)?;
    let body = request::body(settings, model, &params)?;
    drop(params.messages);
    let deadline = Instant::now() + settings.idle_timeout;
    let host = call.host();
    let request = endpoint
        .client(settings)?
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "text/event-stream")
        .body(body.json);
    let response = send(request, settings, deadline, host.now_ms()).await?;
    let id_seed = host.new_id().rsplit('-').next().unwrap_or_default().to_owned();
    let reading = Reading {
        settings,
        call,
        interpreter: Interpreter::new(id_seed, body.ids_taken),
        frames: Vec::new(),
        deadline,
        shown_at: Instant::now(),
    };
    match media_type(&response).as_str() {
        "application/json" => reading.plain(response).await,
        "text/html" => {
            let why = "the endpoint answered a web page, no stream";
            let hint = "check `base_url`".to_owned();
            Err(Trouble { hint, ..Trouble::new(FaultClass::BadRequest, why) }.into())
        }
        _ => reading.events(response).await,
    }
}

struct Reading<'c> {
    settings: &'c Settings,
    call: &'c Call,
    interpreter: Interpreter,
    /// What the last read gave and is not shown yet.
    frames: Vec<StreamFrame>,
    /// When silence becomes a fault; comments do not put it off, because they carry no frame.
    deadline: Instant,
    shown_at: Instant,
}

impl Reading<'_> {
    /// A server that was asked to stream and does not.
    async fn plain(mut self, response: Response) -> Result<StreamReply, Stop> {
        let body = whole_body(response, PLAIN_BODY_BYTES_MAX, self.settings, self.deadline).await?;
        if matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
            self.interpreter.event(&String::from_utf8_lossy(&body), &mut self.frames)?;
            return self.end(None).await;
        }
        // A stream under a wrong name.
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        parser.push(&body, &mut events).map_err(too_long)?;
        events.extend(parser.finish().map_err(too_long)?);
        for event in events {
            self.interpreter.last_event(&event, &mut self.frames)?;
        }
        self.end(None).await
    }

    async fn events(mut self, mut response: Response) -> Result<StreamReply, Stop> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        let cut = loop {
            let piece = match timeout_at(self.deadline, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break None,
                Ok(Err(error)) => break Some(causes(&error)),
                Err(_) if self.interpreter.is_finished() => break None,
                Err(_) => return Err(stalled(self.settings, "the endpoint sent no event").into()),
            };
            let parsed = parser.push(&piece, &mut events).map_err(too_long);
            let n_events = events.len();
            let read =
                events.drain(..).try_for_each(|event| self.interpreter.event(&event, &mut self.frames));
            // What came before the trouble is shown, however the network cut it.
            self.show().await?;
            read.and(parsed)?;
            if self.interpreter.is_done() {
                tokio::spawn(timeout(AFTER_DONE_WAIT, read_out(response)));
                return self.end(None).await;
            }
            if n_events > 0 {
                self.put_off();
            }
        };
        for event in parser.finish().map_err(too_long)? {
            self.interpreter.last_event(&event, &mut self.frames)?;
        }
        self.end(cut.as_deref()).await
    }

    /// Moves the end of patience: far while the model speaks, near once it has finished.
    fn put_off(&mut self) {
        let now = Instant::now();
        self.deadline = match self.interpreter.is_finished() {
            true => self.deadline.min(now + AFTER_FINISH_WAIT),
            false => now + self.settings.idle_timeout,
        };
    }

    async fn show(&mut self) -> Result<(), Stop> {
        // Nothing of a call is shown before its end: an empty delta tells the router that the model still works.
        let is_quiet = || self.shown_at.elapsed() > quiet_max(self.settings);
        if self.frames.is_empty() && self.interpreter.is_calling() && is_quiet() {
            self.frames.push(StreamFrame::TextDelta { text: String::new() });
        }
        for frame in self.frames.drain(..) {
            self.call.emit(&frame).await.map_err(Stop::Caller)?;
            self.shown_at = Instant::now();
        }
        Ok(())
    }

    async fn end(mut self, cut: Option<&str>) -> Result<StreamReply, Stop> {
        self.show().await?;
        let (calls, reply) = self.interpreter.end(cut)?;
        for frame in calls {
            self.call.emit(&frame).await.map_err(Stop::Caller)?;
        }
        Ok(reply)
    }
}

/// How long a call's arguments may come without a frame: well within the router's own limit of silence.
fn quiet_max(settings: &Settings) -> Duration {
    settings.idle_timeout * 3 / 10
}

fn too_long(_: TooLong) -> Trouble {
    let why = format!("the stream holds a line or an event of more than {LINE_BYTES_MAX} bytes");
    Trouble::new(FaultClass::Garbled, why)
}

async fn read_out(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}
