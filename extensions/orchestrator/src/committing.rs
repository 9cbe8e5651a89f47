//! `turn_host.v1/commit`: after the frames before it, durable before its reply, and never cut in the middle.

use crate::orchestrator::Orchestrator;
use crate::outcome::class_of;
use crate::turn_table::Written;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{
    APPEND_ITEMS_MAX, Append, AppendParams, AppendReply, NewEngineState, TurnSummary,
};
use dispatch_sdk::contracts::event::{ERROR, EventBody, STEP_COMPLETED, TURN_ENDED, TurnEnded, TurnError};
use dispatch_sdk::contracts::fault::{CANCELLED, CONFLICT, DENIED, INVALID, PANICKED};
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::turn::CommitParams;
use dispatch_sdk::{Call, Fault, Host};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Numbers of appends that one commit has: far more than parts of its bytes can be.
const PARTS_MAX: u64 = 1 << 16;

impl Orchestrator {
    pub(crate) async fn commit(self: Arc<Self>, call: Call, params: CommitParams) -> Result<Empty, Fault> {
        from_kernel(&call)?;
        let turn_id = params.turn_id.as_str();
        let turn = self.turns.get(turn_id).ok_or_else(|| over(turn_id))?;
        let n_ends = params.events.iter().filter(|event| event.kind == TURN_ENDED).count();
        let end_turn = params.events.last().is_some_and(|event| event.kind == TURN_ENDED);
        if n_ends != usize::from(end_turn) {
            return Err(Fault::new(
                INVALID,
                "`turn_ended` must be the last event of a commit, and the only one",
            ));
        }
        tokio::select! {
            () = turn.forwarded(params.frames_before) => {}
            () = call.cancelled() => {
                return Err(Fault::new(CANCELLED, "the commit was cancelled before its frames were shown"));
            }
        }
        let mut written = Arc::clone(&turn.written).lock_owned().await;
        // Offered again because its reply was lost, or came too late.
        if params.commit_idx.is_some_and(|idx| idx < written.commit_idx) {
            return Ok(Empty {});
        }
        if written.closed {
            return Err(over(&params.turn_id));
        }
        let append = AppendParams {
            conversation_id: turn.conversation_id.clone(),
            turn_id: params.turn_id.clone(),
            events: params.events,
            messages: params.messages,
            end_turn,
            summary: end_turn
                .then(|| TurnSummary { timings: turn.timings(params.timings), ..TurnSummary::default() }),
            engine_state: params.engine_state.map(|state| NewEngineState { engine: turn.engine(), state }),
            ..AppendParams::default()
        };
        let host = self.host.with_meta(&turn.meta());
        let told = Told::by(&append.events);
        // Of another commit that failed after some of its parts: what is said here is no repeat of those.
        if written.parts_of != params.commit_idx {
            written.parts_of = params.commit_idx;
            written.n_parts = 0;
        }
        // A task, so that neither a cancel nor a dropped handler leaves half known what was written.
        let appended = self.host.runtime()?.spawn(async move {
            let appended = append_all(&host, append, params.commit_idx, &mut written.n_parts).await;
            match &appended {
                Ok(reply) => {
                    turn.kept_seq.store(reply.seq_last, Ordering::Relaxed);
                    told.note_in(&mut written, end_turn);
                    written.commit_idx = params.commit_idx.map_or(written.commit_idx, |idx| idx + 1);
                }
                Err(fault) => written.fault = Some(fault.clone()),
            }
            appended
        });
        appended.await.map_err(|e| Fault::new(PANICKED, format!("the append broke off: {e}")))??;
        Ok(Empty {})
    }
}

/// The refusal of whatever concerns a turn that does not run.
pub(crate) fn over(turn_id: &str) -> Fault {
    Fault::new(CONFLICT, format!("turn `{turn_id}` is over, or never ran here"))
}

/// Appends in as many parts as the store takes at a time, each durable before the next. `n_parts` of them are in the log;
/// it is 0 again when all are.
///
/// Messages go first: a history that runs ahead of its log is whole, and a log that runs ahead of it is not.
async fn append_all(
    host: &Host,
    mut append: AppendParams,
    commit_idx: Option<u64>,
    n_parts: &mut usize,
) -> Result<AppendReply, Fault> {
    let first_idx = commit_idx.map(|idx| idx * PARTS_MAX);
    let mut part_idx = 0;
    while append.messages.len() + append.events.len() > APPEND_ITEMS_MAX {
        let messages = front(&mut append.messages, APPEND_ITEMS_MAX);
        let events = front(&mut append.events, APPEND_ITEMS_MAX - messages.len());
        let part = AppendParams {
            conversation_id: append.conversation_id.clone(),
            turn_id: append.turn_id.clone(),
            events,
            messages,
            append_idx: first_idx.map(|idx| idx + part_idx as u64),
            ..AppendParams::default()
        };
        if part_idx == *n_parts {
            host.call(Append, &part).await?;
            *n_parts += 1;
        }
        part_idx += 1;
    }
    append.append_idx = first_idx.map(|idx| idx + part_idx as u64);
    let reply = host.call(Append, &append).await?;
    *n_parts = 0;
    Ok(reply)
}

/// Takes the first `n_max` out.
fn front<T>(items: &mut Vec<T>, n_max: usize) -> Vec<T> {
    let rest = items.split_off(items.len().min(n_max));
    std::mem::replace(items, rest)
}

/// What the events of a commit say about how the turn goes.
struct Told {
    ended: Option<TurnEnded>,
    failure: Option<String>,
    n_steps: u64,
}

impl Told {
    fn by(events: &[EventBody]) -> Self {
        let last = |kind: &str| events.iter().rfind(|event| event.kind == kind).map(|event| event.data.get());
        let error = last(ERROR).and_then(|data| serde_json::from_str::<TurnError>(data).ok());
        Self {
            ended: last(TURN_ENDED).and_then(|data| serde_json::from_str(data).ok()),
            failure: error.map(|error| class_of(&error).to_owned()),
            n_steps: events.iter().filter(|event| event.kind == STEP_COMPLETED).count() as u64,
        }
    }

    fn note_in(self, written: &mut Written, end_turn: bool) {
        written.closed = end_turn;
        written.ended = self.ended;
        written.failure = self.failure.or(written.failure.take());
        written.n_steps += self.n_steps;
        written.fault = None;
    }
}

/// `turn_host.v1` reaches whoever made the call that is being served, so others could call it too.
pub(crate) fn from_kernel(call: &Call) -> Result<(), Fault> {
    if call.caller() == KERNEL_INSTANCE {
        return Ok(());
    }
    Err(Fault::new(
        DENIED,
        format!("`{}` called `turn_host.v1`, which is the kernel's alone to call", call.caller()),
    ))
}
