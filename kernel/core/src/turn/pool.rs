//! Runs the calls of one step: first in, first out; an exclusive tool alone; the others side by side up to a bound.
//!
//! What finishes while a commit is under way goes into the next one. It must not know how one tool runs.

use super::calls::{Call, Outcome, Plan};
use super::committing;
use super::ctx::Ctx;
use super::outbox::Outbox;
use super::results::Results;
use super::tool_run::{self, NEVER_STARTED};
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::message::ToolStatus;
use dispatch_contracts::tool::{Effect, ToolSpec};
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// One run, for one call or for several identical ones that only look.
struct Job<'c> {
    calls: Vec<usize>,
    tool: &'c ToolSpec,
    args: &'c Map<String, Value>,
    ask: bool,
}

struct Settled {
    idx: usize,
    outcome: Outcome,
    changed: Vec<EventBody>,
}

struct Done {
    exclusive: bool,
    settled: Vec<Settled>,
}

/// Runs every call that has no result yet, until each has one; what is left to commit stays in `outbox`.
///
/// Errors: the fault of a commit; what runs then is dropped.
pub(super) async fn run_open(
    ctx: &Ctx<'_>,
    results: &mut Results<'_, '_>,
    history: &mut Vec<Box<RawValue>>,
    outbox: &mut Outbox,
) -> Result<(), Fault> {
    let calls = results.calls;
    let mut queue = jobs(calls, results.open());
    let mut running: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
    let mut exclusive_runs = false;
    let mut commit: Option<BoxFuture<'_, Result<(), Fault>>> = None;
    loop {
        if ctx.stop.is_given() {
            for idx in queue.drain(..).flat_map(|job| job.calls) {
                let outcome = Outcome::unrun(ToolStatus::Cancelled, NEVER_STARTED);
                results.settle(idx, outcome, Vec::new(), history, outbox);
            }
        }
        while may_start(ctx, &queue, running.len(), exclusive_runs) {
            let job = queue.pop_front().expect("only a waiting call may start");
            exclusive_runs = job.tool.exclusive;
            running.push(run_job(ctx, calls, job).boxed());
        }
        let all_done = queue.is_empty() && running.is_empty();
        if all_done && commit.is_none() {
            return Ok(());
        }
        if commit.is_none() {
            commit = outbox.take(ctx).map(|params| committing::commit(ctx, params).boxed());
        }
        let committed = async {
            match commit.as_mut() {
                Some(commit) => commit.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ctx.stop.given(), if !queue.is_empty() => {}
            Some(done) = running.next(), if !running.is_empty() => {
                // Whatever else is done by now shares the next commit.
                let mut next = Some(done);
                while let Some(done) = next {
                    exclusive_runs &= !done.exclusive;
                    for Settled { idx, outcome, changed } in done.settled {
                        results.settle(idx, outcome, changed, history, outbox);
                    }
                    next = running.next().now_or_never().flatten();
                }
            }
            answer = committed => {
                commit = None;
                answer?;
            }
        }
    }
}

fn may_start(ctx: &Ctx<'_>, queue: &VecDeque<Job<'_>>, n_running: usize, exclusive_runs: bool) -> bool {
    match queue.front() {
        None => false,
        Some(job) if job.tool.exclusive => n_running == 0,
        Some(_) => !exclusive_runs && n_running < ctx.tools.limits.tool_calls_parallel_max,
    }
}

/// The runs for the calls `open`. Identical calls of a tool that only looks share one, unless a call that may change
/// something stands between them.
fn jobs<'c>(calls: &'c [Call<'_>], open: impl Iterator<Item = usize>) -> VecDeque<Job<'c>> {
    let mut jobs: VecDeque<Job<'c>> = VecDeque::new();
    for idx in open {
        let Plan::Run { tool, args, ask } = &calls[idx].plan else { continue };
        let mut looks = jobs.iter_mut().rev().take_while(|job| job.tool.effect == Effect::Read);
        let shared = looks.find(|job| {
            tool.effect == Effect::Read && job.tool.name == tool.name && job.args == args && job.ask == *ask
        });
        match shared {
            Some(job) => job.calls.push(idx),
            None => jobs.push_back(Job { calls: vec![idx], tool, args, ask: *ask }),
        }
    }
    jobs
}

async fn run_job(ctx: &Ctx<'_>, calls: &[Call<'_>], job: Job<'_>) -> Done {
    let outcome = tool_run::run(ctx, &calls[job.calls[0]], job.tool, job.args, job.ask).await;
    let mut settled = Vec::with_capacity(job.calls.len());
    for idx in job.calls {
        let mut changed = Vec::new();
        let outcome = tool_run::finish(ctx, &calls[idx], outcome.clone(), &mut changed).await;
        settled.push(Settled { idx, outcome, changed });
    }
    Done { exclusive: job.tool.exclusive, settled }
}
