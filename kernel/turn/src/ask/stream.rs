//! One step's provider stream: read, shown, stopped, and tried again as long as nothing of it was shown.

use crate::ask::request::Request;
use crate::bound::first_chars;
use crate::commit::draft::{Draft, DraftPart};
use crate::ctx::Ctx;
use crate::limits::{FAULT_CHARS_MAX, RETRY_ATTEMPTS_MAX};
use crate::ports::Item;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{RETRY_SCHEDULED, RetryScheduled, TurnError};
use dispatch_contracts::fault::{DEADLINE, OVERLOADED};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::provider::{FaultClass, ProviderFault, StreamFrame, StreamReply};
use dispatch_contracts::retry::DecideParams;
use serde::Deserialize;
use serde_json::Value;

/// How a stream ended.
pub(crate) enum StreamEnd {
    /// With a finish reason.
    Replied(StreamReply),
    /// The turn was stopped.
    Stopped,
    /// It failed for good.
    Failed(Failure),
}

/// A failed request.
pub(crate) struct Failure {
    pub(crate) error: TurnError,
    /// Whether the same request may succeed later.
    retryable: bool,
}

/// What a step's last request came to.
pub(crate) struct Streamed {
    pub(crate) parts: Vec<DraftPart>,
    pub(crate) n_calls_left_out: usize,
    pub(crate) end: StreamEnd,
    /// Text of it was shown.
    pub(crate) shown: bool,
    pub(crate) requested_at: u64,
    /// When its first frame came, of whatever kind.
    pub(crate) first_byte_ms: Option<u64>,
    /// When its first content came.
    pub(crate) first_ms: Option<u64>,
    pub(crate) stream_ms: u64,
}

/// Sends `request` until it succeeds, is stopped, or shall not be tried again.
pub(crate) async fn run(ctx: &Ctx<'_>, step_id: &str, request: &Request<'_>) -> Streamed {
    let began_at = ctx.now_ms();
    let mut attempt = 0;
    loop {
        let requested_at = ctx.now_ms();
        let mut draft = Draft::new(ctx, step_id);
        let mut came = Came::default();
        let read = read(ctx, &mut draft, request, requested_at, &mut came).await;
        let stream_ms = ctx.since(requested_at);
        attempt += 1;
        let end = match read {
            StreamEnd::Failed(failure) if !draft.shown => {
                match wait_to_retry(ctx, step_id, &failure, attempt, began_at).await {
                    Retry::Again => continue,
                    Retry::GiveUp => StreamEnd::Failed(failure),
                    Retry::Stopped => StreamEnd::Stopped,
                }
            }
            read => read,
        };
        let Draft { parts, n_calls_left_out, shown, .. } = draft;
        let Came { first_byte_ms, first_ms } = came;
        return Streamed {
            parts,
            n_calls_left_out,
            end,
            shown,
            requested_at,
            first_byte_ms,
            first_ms,
            stream_ms,
        };
    }
}

/// When something came of an answer, in ms after its request.
#[derive(Default)]
struct Came {
    first_byte_ms: Option<u64>,
    first_ms: Option<u64>,
}

/// Whether a frame only says that the endpoint is waited for.
fn is_sign_of_life(frame: &StreamFrame) -> bool {
    matches!(frame, StreamFrame::TextDelta { text } if text.is_empty())
}

async fn read(
    ctx: &Ctx<'_>,
    draft: &mut Draft<'_>,
    request: &Request<'_>,
    requested_at: u64,
    came: &mut Came,
) -> StreamEnd {
    let wait = ctx.wait(WaitOn::Provider, &ctx.about.provider, None);
    let mut stream = ctx.ports.stream_provider(&ctx.about.provider, request.params());
    let end = loop {
        let due_ms = draft.due_ms();
        let due = async {
            match due_ms {
                Some(due_ms) => ctx.ports.sleep(due_ms).await,
                None => std::future::pending().await,
            }
        };
        let item = tokio::select! {
            biased;
            () = ctx.stop.given() => break StreamEnd::Stopped,
            item = stream.next() => item,
            () = due => {
                draft.flush().await;
                continue;
            }
        };
        match item {
            Item::Frame(frame) => {
                let came_ms = ctx.since(requested_at);
                if !is_sign_of_life(&frame) {
                    came.first_byte_ms.get_or_insert(came_ms);
                }
                if let Err(fault) = draft.push(frame).await {
                    break StreamEnd::Failed(failure(&fault));
                }
                if !draft.parts.is_empty() {
                    came.first_ms.get_or_insert(came_ms);
                }
            }
            Item::End(Ok(reply)) => break StreamEnd::Replied(reply),
            Item::End(Err(fault)) => break StreamEnd::Failed(failure(&fault)),
        }
    };
    // The endpoint is let go before anybody waits for credit.
    drop(stream);
    drop(wait);
    draft.close_block().await;
    end
}

enum Retry {
    Again,
    GiveUp,
    Stopped,
}

/// Asks the retry policy and waits as it says.
async fn wait_to_retry(
    ctx: &Ctx<'_>,
    step_id: &str,
    Failure { error, retryable }: &Failure,
    attempt: u32,
    began_at: u64,
) -> Retry {
    let Some(class) = error.class.filter(|_| *retryable) else { return Retry::GiveUp };
    if attempt >= RETRY_ATTEMPTS_MAX {
        return Retry::GiveUp;
    }
    let params = DecideParams {
        class,
        provider: ctx.about.provider.clone(),
        attempt,
        retry_after_ms: error.retry_after_ms,
        elapsed_ms: ctx.since(began_at),
    };
    let wait = ctx.wait(WaitOn::RetryPolicy, "", None);
    let decision = match ctx.stop.race(async { ctx.ports.retry(params).await }).await {
        Some(decision) => decision,
        None => return Retry::Stopped,
    };
    drop(wait);
    let Some(delay_ms) = decision.and_then(|decision| decision.delay_ms) else { return Retry::GiveUp };
    let step_id = step_id.to_owned();
    let planned = RetryScheduled { step_id, attempt, delay_ms, class, message: error.message.clone() };
    ctx.frames.emit(RETRY_SCHEDULED, &planned).await;
    let _wait = ctx.wait(WaitOn::RetrySleep, "", None);
    let waits_since = ctx.now_ms();
    let waited = ctx.stop.race(ctx.ports.sleep(delay_ms)).await;
    ctx.timing.waited_to_retry(ctx.since(waits_since));
    match waited {
        Some(()) => Retry::Again,
        None => Retry::Stopped,
    }
}

/// A provider's fault; the router's silence limit and its limit of calls have a class too.
fn failure(fault: &Fault) -> Failure {
    let said = ProviderFault::deserialize(&fault.detail).ok();
    let class = match fault.code.as_str() {
        DEADLINE => Some(FaultClass::Stalled),
        OVERLOADED => Some(FaultClass::ProviderOverloaded),
        code => said.as_ref().map(|said| said.class).or_else(|| FaultClass::of_code(code)),
    };
    let code = match class {
        Some(FaultClass::Unknown) | None => fault.code.clone(),
        Some(class) => class.code().to_owned(),
    };
    let by_class = class.is_some_and(FaultClass::retryable);
    let error = TurnError {
        code,
        class,
        message: first_chars(&fault.message, FAULT_CHARS_MAX).to_owned(),
        retry_after_ms: fault.detail.get("retry_after_ms").and_then(Value::as_u64),
        http_status: said.as_ref().and_then(|said| said.http_status),
    };
    Failure { error, retryable: said.and_then(|said| said.retryable).unwrap_or(by_class) }
}
