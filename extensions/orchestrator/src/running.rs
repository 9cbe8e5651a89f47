//! A turn's task: history and prompt in, frames forwarded in order, and one terminal state whatever happens.

use crate::counting::status_word;
use crate::gates::Gates;
use crate::starting::event;
use crate::turn_table::{Place, StopWish, Turn};
use crate::{Orchestrator, ending};
use dispatch_sdk::contracts::conversations::{
    EngineState, EngineStateParams, History, HistoryParams, Live, LiveParams, Messages, MessagesParams,
    MessagesReply,
};
use dispatch_sdk::contracts::engine::is_native;
use dispatch_sdk::contracts::event::{EventBody, NOTICE, TurnEnded};
use dispatch_sdk::contracts::fault::{BROKEN, NO_SERVICE, OVERLOADED, PANICKED, UNAVAILABLE};
use dispatch_sdk::contracts::prompt::{System, SystemParams};
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::turn::{HISTORY_BYTES_MAX, Run, RunParams};
use dispatch_sdk::{Backoff, CallStream, Fault, Host, Item, Verb};
use serde_json::json;
use serde_json::value::RawValue;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Most frames forwarded in one call.
const BATCH_FRAMES_MAX: usize = 256;
/// Most bytes of frames after which a batch takes no further one.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How often a batch is offered while the store says that it is busy.
const LIVE_ATTEMPTS_MAX: u32 = 10;
/// Before the second offer; doubled for each further one.
const LIVE_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two offers.
const LIVE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Most bytes of one page of a history.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a history is asked for while there is no room for the question; with the waits below less than a minute.
const ROOM_ATTEMPTS_MAX: u32 = 12;
/// Before the second time; doubled for each further one.
const ROOM_WAIT: Duration = Duration::from_millis(25);
/// Longest wait between two.
const ROOM_WAIT_MAX: Duration = Duration::from_millis(25_600);
/// Most files that one notice names.
const UNTRUSTED_NAMED_MAX: usize = 8;

/// What a turn runs with.
#[derive(Debug, Clone)]
pub(crate) struct RunPlan {
    /// Empty = the kernel's own loop.
    pub(crate) engine: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) cwd: String,
    /// Unix ms; dates the system prompt.
    pub(crate) conversation_made_at: u64,
}

/// How the run came out, before anybody looked whether its end was written.
pub(crate) enum Outcome {
    /// The kernel answered.
    Ran(TurnEnded),
    /// It was stopped before it began.
    StoppedBefore,
    /// Whoever asked for it had gone before it was acknowledged; it never began.
    Unacknowledged,
    /// Something broke.
    Broke(Fault),
}

impl Outcome {
    /// The end as the kernel told it, with what was used.
    pub(crate) fn spent(self) -> Option<TurnEnded> {
        match self {
            Self::Ran(ended) => Some(ended),
            Self::StoppedBefore | Self::Unacknowledged | Self::Broke(_) => None,
        }
    }
}

/// Runs a turn when it is its time; when this returns its end is written, or told to be unwritten, and its place is free.
///
/// `host` makes root calls with the turn's meta. A turn that still waits when the host goes down stays open in its log:
/// the next host that serves runs it.
pub(crate) async fn run_to_its_end(this: Arc<Orchestrator>, host: Host, place: Place, plan: RunPlan) {
    let turn = Arc::clone(&place.turn);
    let waits_since = host.now_ms();
    let admitted = tokio::select! {
        biased;
        wish = turn.stop_wished() => match wish {
            StopWish::Cancel => None,
            StopWish::Interrupt => return,
        },
        permit = this.gates.run() => match permit {
            Some(permit) => Some(permit),
            None => return,
        },
    };
    let outcome = if admitted.is_some() {
        let now = host.now_ms();
        this.counts.started(now.saturating_sub(waits_since));
        turn.queued(now.saturating_sub(turn.started_at));
        // A task of its own, so that a panic is an outcome like any other.
        let task = tokio::spawn({
            let (host, gates, turn, plan) =
                (host.clone(), Arc::clone(&this.gates), Arc::clone(&turn), plan.clone());
            async move { run(&host, &gates, &turn, plan).await }
        });
        task.await.unwrap_or_else(|e| {
            Outcome::Broke(Fault::new(PANICKED, format!("the task of the turn broke off: {e}")))
        })
    } else {
        Outcome::StoppedBefore
    };
    end(this, host, place, plan, outcome).await;
}

/// Makes sure of a turn's end, counts it, and gives its place free.
pub(crate) async fn end(this: Arc<Orchestrator>, host: Host, place: Place, plan: RunPlan, outcome: Outcome) {
    let turn = &place.turn;
    let end = ending::make_sure(&host, turn, outcome).await;
    this.counts.ended(&end);
    let ended = &end.ended;
    tracing::info!(
        turn_id = turn.turn_id,
        conversation_id = turn.conversation_id,
        status = status_word(ended.status),
        reason = ended.reason,
        duration_ms = ended.duration_ms,
        steps = end.n_steps,
        input_tokens = ended.usage.input_tokens,
        output_tokens = ended.usage.output_tokens,
        engine = plan.engine,
        provider = plan.provider,
        model = plan.model,
        "a turn ended"
    );
    if let Some((append, fault)) = end.unwritten {
        this.unwritten.keep(host, turn, append, &fault);
    }
    drop(place);
}

async fn run(host: &Host, gates: &Gates, turn: &Turn, plan: RunPlan) -> Outcome {
    let began_at = host.now_ms();
    let preparing = async {
        let _starting = gates.start().await;
        let prepared = prepare(host, turn, plan).await;
        turn.prepared(host.now_ms().saturating_sub(began_at));
        prepared
    };
    let prepared = tokio::select! {
        biased;
        _ = turn.stop_wished() => return Outcome::StoppedBefore,
        prepared = preparing => prepared,
    };
    match prepared {
        Ok(params) => forward(host, turn, host.stream(Run, &params)).await,
        Err(fault) => Outcome::Broke(fault),
    }
}

async fn prepare(host: &Host, turn: &Turn, plan: RunPlan) -> Result<RunParams, Fault> {
    let conversation_id = turn.conversation_id.clone();
    let native = is_native(&plan.engine);
    let history = if native { history(host, &conversation_id).await? } else { input(host, turn).await? };
    if history.skipped > 0 {
        let message =
            format!("{} messages of the history could not be read and were left out", history.skipped);
        notice(host, turn, "history_incomplete", &message).await?;
    }
    let asked = SystemParams {
        conversation_id: conversation_id.clone(),
        cwd: plan.cwd.clone(),
        started_at: plan.conversation_made_at,
    };
    let system = match host.call(System, &asked).await {
        Ok(reply) => {
            if !reply.untrusted.is_empty() {
                notice(host, turn, "untrusted", &untrusted(&reply.untrusted)).await?;
            }
            reply.text
        }
        Err(fault) if fault.is(NO_SERVICE) => String::new(),
        Err(fault) => {
            tracing::warn!(
                turn_id = turn.turn_id,
                code = fault.code,
                message = fault.message,
                "no system prompt"
            );
            let message = format!("the turn runs without a system prompt: {}", fault.message);
            notice(host, turn, "prompt_failed", &message).await?;
            String::new()
        }
    };
    let engine_state = if native { None } else { engine_state(host, &conversation_id, &plan.engine).await? };
    turn.runs_on(&plan.engine);
    Ok(RunParams {
        conversation_id,
        turn_id: turn.turn_id.clone(),
        provider: plan.provider,
        model: plan.model,
        system,
        cwd: plan.cwd,
        computer: turn.meta().computer.unwrap_or_default(),
        messages: history.messages,
        steps_max: 0,
        // Nothing here can shorten a history, so nothing is asked.
        boundaries: Vec::new(),
        engine: plan.engine,
        engine_state,
    })
}

/// The history, page by page.
///
/// Errors: `context_overflow`, it has more than one request sends.
pub(crate) async fn history(host: &Host, conversation_id: &str) -> Result<MessagesReply, Fault> {
    let mut whole = MessagesReply::default();
    let mut params = MessagesParams {
        conversation_id: conversation_id.to_owned(),
        bytes_max: PAGE_BYTES_MAX,
        ..MessagesParams::default()
    };
    let mut n_bytes = 0;
    loop {
        let page = with_room(host, || Messages, &params).await?;
        n_bytes += page.messages.iter().map(|message| message.get().len()).sum::<usize>();
        if n_bytes > HISTORY_BYTES_MAX {
            let message = format!(
                "the history has more than the {HISTORY_BYTES_MAX} bytes that a request sends; begin a new conversation"
            );
            return Err(Fault::new(FaultClass::ContextOverflow.code(), message));
        }
        whole.messages.extend(page.messages);
        whole.skipped += page.skipped;
        match page.next {
            None => return Ok(whole),
            next if next > params.after => params.after = next,
            Some(next) => {
                let message =
                    format!("the history does not go on after message {next}; its pages are in a circle");
                return Err(Fault::new(BROKEN, message));
            }
        }
    }
}

/// The input of a turn that has not begun: the last message of its conversation.
async fn input(host: &Host, turn: &Turn) -> Result<MessagesReply, Fault> {
    let last =
        HistoryParams { conversation_id: turn.conversation_id.clone(), limit: 1, ..HistoryParams::default() };
    let found = with_room(host, || History, &last).await?;
    let messages = found.messages.into_iter().map(|placed| placed.message).collect();
    Ok(MessagesReply { messages, skipped: found.skipped, ..MessagesReply::default() })
}

/// What the engine's last turn left in the conversation.
async fn engine_state(
    host: &Host,
    conversation_id: &str,
    engine: &str,
) -> Result<Option<Box<RawValue>>, Fault> {
    let whose = EngineStateParams { conversation_id: conversation_id.to_owned(), engine: engine.to_owned() };
    Ok(with_room(host, || EngineState, &whose).await?.state)
}

/// Asks again while there is no room for the question: what was accepted is not lost to a limit of ours.
async fn with_room<V: Verb>(host: &Host, verb: fn() -> V, params: &V::Params) -> Result<V::Reply, Fault> {
    let mut backoff = Backoff::new(ROOM_WAIT, ROOM_WAIT_MAX);
    for _ in 1..ROOM_ATTEMPTS_MAX {
        match host.call(verb(), params).await {
            Err(fault) if fault.is(OVERLOADED) => backoff.wait(host).await,
            answered => return answered,
        }
    }
    host.call(verb(), params).await
}

/// Hands every frame on before it is counted, so that a commit finds all that came before it.
async fn forward(host: &Host, turn: &Turn, mut stream: CallStream<Run>) -> Outcome {
    loop {
        let (batch, end) = next_batch(&mut stream).await;
        if !batch.is_empty() {
            let n_frames = batch.len() as u64;
            if let Err(fault) = show(host, turn, batch).await {
                // A hole in the log must not pass in silence: dropping the stream cancels the run.
                return Outcome::Broke(fault);
            }
            turn.n_forwarded.send_modify(|n| *n += n_frames);
        }
        if let Some(outcome) = end {
            return outcome;
        }
    }
}

/// Waits for one item, then takes what is there already.
async fn next_batch(stream: &mut CallStream<Run>) -> (Vec<EventBody>, Option<Outcome>) {
    let (mut batch, mut n_bytes) = (Vec::new(), 0);
    let mut item = Some(stream.next().await);
    loop {
        match item {
            Some(Ok(Item::Frame(frame))) => {
                n_bytes += frame.data.get().len();
                batch.push(frame);
            }
            Some(Ok(Item::End(ended))) => return (batch, Some(Outcome::Ran(ended))),
            Some(Err(fault)) => return (batch, Some(Outcome::Broke(fault))),
            None => return (batch, None),
        }
        if batch.len() >= BATCH_FRAMES_MAX || n_bytes >= BATCH_BYTES_MAX {
            return (batch, None);
        }
        item = std::future::poll_fn(|cx| {
            Poll::Ready(match pin!(stream.next()).poll(cx) {
                Poll::Ready(item) => Some(item),
                Poll::Pending => None,
            })
        })
        .await;
    }
}

async fn show(host: &Host, turn: &Turn, events: Vec<EventBody>) -> Result<(), Fault> {
    let params =
        LiveParams { conversation_id: turn.conversation_id.clone(), turn_id: turn.turn_id.clone(), events };
    let mut backoff = Backoff::new(LIVE_WAIT, LIVE_WAIT_MAX);
    for _ in 1..LIVE_ATTEMPTS_MAX {
        match host.call(Live, &params).await {
            Err(fault) if fault.is(OVERLOADED) || fault.is(UNAVAILABLE) => backoff.wait(host).await,
            shown => return shown.map(drop),
        }
    }
    host.call(Live, &params).await.map(drop)
}

/// Which instruction files were left out, and what a person can do about it.
fn untrusted(paths: &[String]) -> String {
    let named: Vec<String> = paths.iter().take(UNTRUSTED_NAMED_MAX).map(|path| format!("`{path}`")).collect();
    let more = match paths.len().saturating_sub(UNTRUSTED_NAMED_MAX) {
        0 => String::new(),
        n_more => format!(" and {n_more} more"),
    };
    // The first is the outermost: what trusts it trusts those below it.
    let dir = Path::new(&paths[0]).parent().unwrap_or(Path::new(".")).display();
    format!(
        "instructions were not read, because nobody trusts them as they are: {}{more}; look at them, then \
         `dispatch trust {dir}`",
        named.join(", ")
    )
}

async fn notice(host: &Host, turn: &Turn, code: &str, message: &str) -> Result<(), Fault> {
    show(host, turn, vec![event(NOTICE, &json!({ "code": code, "message": message }))]).await
}
