//! What a turn begins with: its history, or an engine's part of it, and its prompt. It must not know how it runs.

use crate::forwarding::notice;
use crate::plan::RunPlan;
use crate::turn_table::Turn;
use dispatch_sdk::contracts::conversations::{
    EngineState, EngineStateParams, History, HistoryParams, Messages, MessagesParams, MessagesReply,
};
use dispatch_sdk::contracts::engine::is_native;
use dispatch_sdk::contracts::fault::{BROKEN, NO_SERVICE, OVERLOADED};
use dispatch_sdk::contracts::prompt::{System, SystemParams};
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::turn::{HISTORY_BYTES_MAX, RunParams};
use dispatch_sdk::{Backoff, Fault, Host, Verb};
use serde_json::value::RawValue;
use std::path::Path;
use std::time::Duration;

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

/// Reads all of it; what could not be read is said in a notice.
pub(crate) async fn prepare(host: &Host, turn: &Turn, plan: RunPlan) -> Result<RunParams, Fault> {
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
