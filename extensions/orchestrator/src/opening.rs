//! From a checked start to a turn that runs: opened in its log, acknowledged to whoever asked, and only then run.
//!
//! It must not know how a turn runs. A turn whose caller has gone before it was acknowledged is ended untouched: whoever
//! was told that a start failed must not see it act later.

use crate::adopting::TakenOver;
use crate::events::{event, raw};
use crate::orchestrator::Orchestrator;
use crate::outcome::Outcome;
use crate::plan::RunPlan;
use crate::turn_table::{Place, Turn};
use dispatch_sdk::contracts::conversations::{
    Begin, BeginParams, BeginReply, Get, GetParams, HostLife, HostLifeParams, Life, OpenTurn, Seal,
    SealParams, TURN_IN_FLIGHT,
};
use dispatch_sdk::contracts::event::INPUT;
use dispatch_sdk::contracts::fault::{
    CANCELLED, CONFLICT, DEADLINE, INVALID, NO_SERVICE, NOT_FOUND, NOT_REQUIRED, OVERLOADED, PANICKED,
    TOO_LARGE, UNKNOWN_VERB,
};
use dispatch_sdk::contracts::message::{Message, Part};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::contracts::turns::StartReply;
use dispatch_sdk::{Backoff, Call, Fault, Host};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is kept of a caller's time for the answer.
const ANSWER_MS: u64 = 2_000;
/// How often it is looked whether a turn was opened after all; with the waits below about two minutes.
const SETTLE_ATTEMPTS_MAX: u32 = 12;
/// Before the second look; doubled for each further one.
const SETTLE_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two looks.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A turn that is about to be opened.
pub(crate) struct Opening {
    pub(crate) begin: BeginParams,
    pub(crate) place: Place,
}

impl Opening {
    /// Puts in what the user said and showed, as an event and as a message.
    pub(crate) fn says(&mut self, input: &str, shown: Vec<Part>) {
        let mut message = Message::user(input);
        message.parts.extend(shown);
        self.begin.events.push(event(INPUT, &serde_json::json!({ "parts": message.parts })));
        self.begin.messages.push(raw(&message));
    }
}

/// An opened turn on its way to the caller; nothing runs until it says that the caller has it.
pub(crate) struct Ack {
    reply: StartReply,
    taken: oneshot::Sender<()>,
}

/// Waits for the ack as long as the caller does, and takes it only while somebody is there to hear it.
pub(crate) async fn acked(
    call: &Call,
    host: &Host,
    ack: oneshot::Receiver<Result<Ack, Fault>>,
) -> Result<StartReply, Fault> {
    let budget_ms = call.budget_ms();
    let patience = async {
        match budget_ms {
            0 => std::future::pending().await,
            _ => host.sleep(Duration::from_millis(budget_ms - (budget_ms / 4).min(ANSWER_MS))).await,
        }
    };
    let Ack { reply, taken } = tokio::select! {
        biased;
        () = call.cancelled() => return Err(Fault::new(CANCELLED, "nobody waits for this start any more; nothing runs")),
        ack = ack => ack.unwrap_or_else(|_| Err(Fault::new(PANICKED, "starting the turn broke off")))?,
        () = patience => {
            let message = format!("the turn could not be written down within {budget_ms} ms; nothing runs, try again later");
            return Err(Fault::new(DEADLINE, message));
        }
    };
    match taken.send(()) {
        Ok(()) => Ok(reply),
        Err(()) => {
            Err(Fault::new(PANICKED, "the task of the turn broke off before the turn was acknowledged"))
        }
    }
}

impl Orchestrator {
    /// Opens the turn, and runs it once the caller has its ack.
    pub(crate) async fn open_and_run(
        self: Arc<Self>,
        opening: Opening,
        mut ack: oneshot::Sender<Result<Ack, Fault>>,
    ) {
        let Opening { begin, place } = opening;
        let host = self.host.with_meta(&place.turn.meta());
        let permit = tokio::select! {
            biased;
            () = ack.closed() => return,
            permit = self.gates.open() => permit,
        };
        let begun = self.begin(&host, &begin, &ack).await;
        drop(permit);
        let begun = match begun {
            Ok(begun) => begun,
            Err(fault) => {
                let unsure = !opened_nothing(&fault);
                // Whoever left in the meantime hears it no more.
                let _ = ack.send(Err(fault));
                if unsure {
                    settle(&host, &place.turn).await;
                }
                return;
            }
        };
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        place.turn.kept_seq.store(begun.cursor + begin.events.len() as u64, Ordering::Relaxed);
        let reply = StartReply {
            conversation_id: begin.conversation_id,
            turn_id: begin.turn_id,
            cursor: begun.cursor,
            durable: begun.durable,
        };
        let plan = RunPlan {
            engine: begin.engine,
            provider: begin.provider,
            model: begin.model,
            cwd: begin.cwd,
            conversation_made_at: begun.created_at,
        };
        let (taken, is_taken) = oneshot::channel();
        let told = ack.send(Ok(Ack { reply, taken })).is_ok();
        if told && is_taken.await.is_ok() {
            self.run_in_background(host, place, plan);
        } else {
            tracing::warn!(
                turn_id = place.turn.turn_id,
                "a turn was opened for a caller that has gone; it ends untouched"
            );
            self.end_in_background(host, place, plan, Outcome::Unacknowledged);
        }
    }

    /// Opens the turn; one that nobody runs any more is looked after first, once.
    async fn begin(
        self: &Arc<Self>,
        host: &Host,
        params: &BeginParams,
        ack: &oneshot::Sender<Result<Ack, Fault>>,
    ) -> Result<BeginReply, Fault> {
        let fault = match host.call(Begin, params).await {
            Err(fault) if fault.is(TURN_IN_FLIGHT) => fault,
            begun => return begun,
        };
        let Ok(open) = serde_json::from_value::<OpenTurn>(fault.detail.clone()) else { return Err(fault) };
        if self.runs_somewhere(host, &params.host_id, &open).await {
            return Err(self.in_flight(host, &params.host_id, &open, fault).await);
        }
        let asked = GetParams { conversation_id: params.conversation_id.clone() };
        let conversation = host.call(Get, &asked).await?;
        match self.take_over(&params.host_id, &conversation, open.clone()).await? {
            TakenOver::Sealed if !ack.is_closed() => host.call(Begin, params).await,
            TakenOver::Sealed => Err(fault),
            // What was accepted first runs first.
            TakenOver::Runs => {
                let open = OpenTurn { host_id: params.host_id.clone(), ..open };
                let detail = serde_json::to_value(&open).expect("a struct of strings always encodes");
                Err(fault.with_detail(detail))
            }
            TakenOver::ByAnother => Err(fault),
        }
    }
}

impl Orchestrator {
    /// The refusal of a start while a turn is open; of one whose host nobody can judge it says what a person can do.
    async fn in_flight(&self, host: &Host, own_host_id: &str, open: &OpenTurn, fault: Fault) -> Fault {
        let OpenTurn { host_id, turn_id, .. } = open;
        let asked = HostLifeParams { host_id: host_id.clone() };
        if host_id == own_host_id
            || !host.call(HostLife, &asked).await.is_ok_and(|reply| reply.life == Life::Unknown)
        {
            return fault;
        }
        let message = format!(
            "turn `{turn_id}` is open and of host `{host_id}`, of which nobody can tell whether it lives; wait for the \
             turn's end, or, if no process of that host runs any more, say so: `dispatch hosts bury {host_id}`"
        );
        Fault { message, ..fault }
    }
}

/// Whether a begin that failed is known to have opened nothing; after any other fault it may have, or may yet.
fn opened_nothing(fault: &Fault) -> bool {
    matches!(
        fault.code.as_str(),
        TURN_IN_FLIGHT
            | CONFLICT
            | INVALID
            | NO_SERVICE
            | NO_SPACE
            | NOT_FOUND
            | NOT_REQUIRED
            | OVERLOADED
            | TOO_LARGE
            | UNKNOWN_VERB
    )
}

/// Ends the turn of a begin of which nobody knows whether it got through.
///
/// A store that was asked may still write for a while, so one look is not enough.
async fn settle(host: &Host, turn: &Turn) {
    let (conversation_id, turn_id) = (&turn.conversation_id, &turn.turn_id);
    let mut backoff = Backoff::new(SETTLE_WAIT, SETTLE_WAIT_MAX);
    for attempt in 1..=SETTLE_ATTEMPTS_MAX {
        let found = host.call(Get, &GetParams { conversation_id: conversation_id.clone() }).await;
        let is_open = found.is_ok_and(|found| found.open_turn.is_some_and(|open| open.turn_id == *turn_id));
        if is_open {
            let seal = SealParams {
                conversation_id: conversation_id.clone(),
                turn_id: turn_id.clone(),
                ..SealParams::default()
            };
            match host.call(Seal, &seal).await {
                Ok(_) => {
                    return tracing::warn!(
                        turn_id,
                        "a turn that was refused had been opened; it was ended untouched"
                    );
                }
                Err(fault) => {
                    let (code, message) = (fault.code, fault.message);
                    tracing::warn!(turn_id, attempt, code, message, "cannot end a turn that was refused");
                }
            }
        }
        if attempt < SETTLE_ATTEMPTS_MAX {
            backoff.wait(host).await;
        }
    }
}
