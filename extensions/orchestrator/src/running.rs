//! A turn's task: it waits, is prepared, is forwarded, and gets one terminal state whatever happens.

use crate::counts::status_word;
use crate::ending;
use crate::forwarding::forward;
use crate::gates::Gates;
use crate::orchestrator::Orchestrator;
use crate::outcome::Outcome;
use crate::plan::RunPlan;
use crate::preparing::prepare;
use crate::turn_table::{EndWish, Place, Turn};
use dispatch_sdk::contracts::fault::PANICKED;
use dispatch_sdk::contracts::turn::Run;
use dispatch_sdk::{Fault, Host};
use std::sync::Arc;

impl Orchestrator {
    /// Runs an opened turn as a task of this instance's runtime, in which the caller must be.
    pub(crate) fn run_in_background(self: &Arc<Self>, host: Host, place: Place, plan: RunPlan) {
        self.look_for_wishes();
        tokio::spawn(run_to_its_end(Arc::clone(self), host, place, plan));
    }

    /// Writes the end of an opened turn that nothing ran of; the same holds.
    pub(crate) fn end_in_background(
        self: &Arc<Self>,
        host: Host,
        place: Place,
        plan: RunPlan,
        outcome: Outcome,
    ) {
        tokio::spawn(end(Arc::clone(self), host, place, plan, outcome));
    }
}

/// Runs a turn when it is its time; when this returns its end is written, or told to be unwritten, and its place is free.
///
/// `host` makes root calls with the turn's meta. A turn that still waits when the host goes down stays open in its log:
/// the next host that serves runs it.
async fn run_to_its_end(this: Arc<Orchestrator>, host: Host, place: Place, plan: RunPlan) {
    let turn = Arc::clone(&place.turn);
    let waits_since = host.now_ms();
    let admitted = tokio::select! {
        biased;
        wish = turn.end_wished() => match wish {
            EndWish::Cancel => None,
            EndWish::Interrupt => return,
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
async fn end(this: Arc<Orchestrator>, host: Host, place: Place, plan: RunPlan, outcome: Outcome) {
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
        _ = turn.end_wished() => return Outcome::StoppedBefore,
        prepared = preparing => prepared,
    };
    match prepared {
        Ok(params) => forward(host, turn, host.stream(Run, &params)).await,
        Err(fault) => Outcome::Broke(fault),
    }
}
