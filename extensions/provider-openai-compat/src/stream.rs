//! One `provider.v1/stream`: the request out, the answer read as it comes, frames shown as credit allows.

use crate::chunks::Interpreter;
use crate::config::Settings;
use crate::endpoint::{Endpoint, media_type, silent, whole_body};
use crate::images::Images;
use crate::reaching::causes;
use crate::request;
use crate::sse::SseParser;
use crate::trouble::Trouble;
use crate::ways::{Reasoning, Way};
use bytes::Bytes;
use dispatch_sdk::contracts::provider::{FaultClass, StreamFrame, StreamParams, StreamReply};
use dispatch_sdk::{Call, Fault};
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use std::future::Future;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long the usage is waited for after the finish reason.
const AFTER_FINISH_WAIT: Duration = Duration::from_millis(1_000);
/// How long the end of the body is waited for after `[DONE]`, in the background, so that the socket can be used again.
const AFTER_DONE_WAIT: Duration = Duration::from_millis(1_000);
/// The longest answer of a server that does not stream, in bytes.
const PLAIN_BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of the body that are read before what they say is shown, at most; the last piece may go beyond it.
const READ_ON_BYTES_MAX: usize = 64 * 1024;
/// Well within the router's own limit of silence, which is 120 s for a stream.
const SIGN_EVERY: Duration = Duration::from_secs(30);

/// Why a stream ended early.
pub(crate) enum Stop {
    /// The endpoint's trouble, still to be masked.
    Trouble(Trouble),
    /// Not the endpoint's: nobody takes frames any more, or the images of the history cannot be had now.
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
    let asked = params.model.clone();
    let model = settings.model(&asked)?;
    let client = endpoint.client(settings)?;
    let host = call.host();
    let mut way = endpoint.ways.of(model);
    let history = request::history(&params)?;
    let images = match settings.images && !way.no_images {
        true => Images::of(&history, call).await.map_err(Stop::Caller)?,
        false => Images::default(),
    };
    // A refusal that another way of writing the history answers is answered; each turn moves `way` on, which ends it.
    let (deadline, ids_taken, response) = loop {
        let body = request::body(settings, model, &params, (&history, &images), way);
        let deadline = Instant::now() + settings.idle_timeout;
        let request = client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(body.json);
        let response = endpoint.send(request, settings, deadline, host.now_ms());
        match alive(settings, call, response).await? {
            Ok(response) => break (deadline, body.ids_taken, response),
            Err(refusal) => way = way.after(&refusal, body.written).ok_or(refusal)?,
        }
    };
    endpoint.ways.found(model, way);
    drop((params, history, images));
    let id_seed = host.new_id().rsplit('-').next().unwrap_or_default().to_owned();
    let reading = Reading {
        settings,
        endpoint,
        model,
        call,
        parser: SseParser::default(),
        interpreter: Interpreter::new(id_seed, ids_taken, settings.think_tags),
        frames: Vec::new(),
        deadline,
        comments_until: Instant::now() + settings.keepalive_timeout,
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
    endpoint: &'c Endpoint,
    model: &'c str,
    call: &'c Call,
    parser: SseParser,
    interpreter: Interpreter,
    /// What was read and is not shown yet.
    frames: Vec<StreamFrame>,
    /// When silence becomes a fault.
    deadline: Instant,
    /// Until then comments put that off: they show that the server still works. Events put this off.
    comments_until: Instant,
    shown_at: Instant,
}

/// What the body gives next.
enum Came {
    Piece(Bytes),
    End(BodyEnd),
}

/// The end of the body, and why it came early, if it did.
struct BodyEnd {
    cut: Option<String>,
}

/// What came of reading all that was there.
struct ReadOn {
    trouble: Result<(), Trouble>,
    n_events: usize,
    end: Option<BodyEnd>,
}

impl Came {
    fn of(chunk: reqwest::Result<Option<Bytes>>) -> Self {
        match chunk {
            Ok(Some(piece)) => Self::Piece(piece),
            Ok(None) => Self::End(BodyEnd { cut: None }),
            Err(error) => Self::End(BodyEnd { cut: Some(causes(&error)) }),
        }
    }
}

impl Reading<'_> {
    /// A server that was asked to stream and does not.
    async fn plain(mut self, response: Response) -> Result<StreamReply, Stop> {
        let body = whole_body(response, PLAIN_BODY_BYTES_MAX, self.settings, self.deadline);
        let body = alive(self.settings, self.call, body).await??;
        if matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
            self.interpreter.event(&String::from_utf8_lossy(&body), &mut self.frames)?;
            return self.end(None).await;
        }
        // A stream under a wrong name.
        let mut events = Vec::new();
        self.parser.push::<Trouble>(&body, &mut |event: &str| {
            events.push(event.to_owned());
            Ok(())
        })?;
        events.extend(std::mem::take(&mut self.parser).finish().map_err(Trouble::from)?);
        for event in events {
            self.interpreter.last_event(&event, &mut self.frames)?;
        }
        self.end(None).await
    }

    async fn events(mut self, mut response: Response) -> Result<StreamReply, Stop> {
        let cut = loop {
            let came = self.wait(&mut response).await?;
            let read = self.read_on(came, &mut response).await;
            // What came before the trouble is shown, however the network cut it.
            self.show().await?;
            read.trouble?;
            if self.interpreter.is_done() {
                tokio::spawn(timeout(AFTER_DONE_WAIT, read_out(response)));
                return self.end(None).await;
            }
            if let Some(end) = read.end {
                break end.cut;
            }
            match read.n_events {
                0 => self.heard_server(),
                _ => self.heard_model(),
            }
        };
        for event in std::mem::take(&mut self.parser).finish().map_err(Trouble::from)? {
            self.interpreter.last_event(&event, &mut self.frames)?;
        }
        self.end(cut.as_deref()).await
    }

    /// Waits for the next piece of the body, and tells the router meanwhile that it does.
    async fn wait(&mut self, response: &mut Response) -> Result<Came, Stop> {
        loop {
            let until = self.deadline.min(self.shown_at + sign_every(self.settings));
            match timeout_at(until, response.chunk()).await {
                Ok(chunk) => return Ok(Came::of(chunk)),
                Err(_) if until < self.deadline => self.show().await?,
                Err(_) if self.interpreter.is_finished() => return Ok(Came::End(BodyEnd { cut: None })),
                Err(_) => return Err(self.stalled().into()),
            }
        }
    }

    /// Reads this piece and whatever else has come already, so that a flood is shown in few frames and a delta that
    /// comes alone is not held back.
    async fn read_on(&mut self, mut came: Came, response: &mut Response) -> ReadOn {
        let (mut n_bytes, mut n_events) = (0, 0);
        loop {
            let piece = match came {
                Came::Piece(piece) => piece,
                Came::End(end) => return ReadOn { trouble: Ok(()), n_events, end: Some(end) },
            };
            n_bytes += piece.len();
            let trouble = self.parser.push(&piece, &mut |event: &str| {
                n_events += 1;
                self.interpreter.event(event, &mut self.frames)
            });
            if trouble.is_err() || self.interpreter.is_done() || n_bytes >= READ_ON_BYTES_MAX {
                return ReadOn { trouble, n_events, end: None };
            }
            came = match come_already(response).await {
                Some(next) => next,
                None => return ReadOn { trouble, n_events, end: None },
            };
        }
    }

    /// Moves the end of patience where only comments came.
    fn heard_server(&mut self) {
        if !self.interpreter.is_finished() {
            let quiet_until = (Instant::now() + self.settings.idle_timeout).min(self.comments_until);
            self.deadline = self.deadline.max(quiet_until);
        }
    }

    /// Moves the end of patience: far while the model speaks, near once it has finished.
    fn heard_model(&mut self) {
        let now = Instant::now();
        self.comments_until = now + self.settings.keepalive_timeout;
        self.deadline = match self.interpreter.is_finished() {
            true => self.deadline.min(now + AFTER_FINISH_WAIT),
            false => now + self.settings.idle_timeout,
        };
    }

    /// Shows what was read; a sign of life if nothing was shown for a while, because a call is shown at its end alone.
    async fn show(&mut self) -> Result<(), Stop> {
        if self.frames.is_empty() && self.shown_at.elapsed() >= sign_every(self.settings) {
            self.frames.push(sign_of_life());
        }
        for frame in self.frames.drain(..) {
            self.call.emit(&frame).await.map_err(Stop::Caller)?;
            self.shown_at = Instant::now();
        }
        Ok(())
    }

    /// The limit that was reached, by its name.
    fn stalled(&self) -> Trouble {
        if self.deadline < self.comments_until {
            return silent(self.settings, "the endpoint sent nothing");
        }
        let ms = self.settings.keepalive_timeout.as_millis();
        let why = format!("the endpoint sent comments and no event for {ms} ms (`keepalive_timeout_ms`)");
        Trouble::new(FaultClass::Stalled, why)
    }

    async fn end(mut self, cut: Option<&str>) -> Result<StreamReply, Stop> {
        self.show().await?;
        if self.interpreter.sends_reasoning_content() {
            self.endpoint.ways.found(self.model, Way { reasoning: Reasoning::OfTurn, ..Way::default() });
        }
        let (rest, reply) = self.interpreter.end(cut)?;
        for frame in rest {
            self.call.emit(&frame).await.map_err(Stop::Caller)?;
        }
        Ok(reply)
    }
}

/// The next piece if it is here already. The client's own task, which takes the socket's bytes apart, has one turn first.
async fn come_already(response: &mut Response) -> Option<Came> {
    let mut has_yielded = false;
    let yielded = std::future::poll_fn(|cx| match std::mem::replace(&mut has_yielded, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    tokio::select! {
        biased;
        chunk = response.chunk() => Some(Came::of(chunk)),
        () = yielded => None,
    }
}

/// Awaits `work` and tells the router meanwhile that this call lives; `work` has a deadline of its own.
async fn alive<T>(settings: &Settings, call: &Call, work: impl Future<Output = T>) -> Result<T, Stop> {
    let mut work = std::pin::pin!(work);
    loop {
        match timeout(sign_every(settings), &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) => call.emit(&sign_of_life()).await.map_err(Stop::Caller)?,
        }
    }
}

/// A frame that says nothing: the router ends a call that shows nothing for too long, and nobody else sees it.
fn sign_of_life() -> StreamFrame {
    StreamFrame::TextDelta { text: String::new() }
}

/// How long nothing is shown at most.
fn sign_every(settings: &Settings) -> Duration {
    SIGN_EVERY.min(settings.idle_timeout * 3 / 10)
}

async fn read_out(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}
