//! Runs the calls of one step: first in, first out; an exclusive tool alone; the others side by side up to a bound.
//!
//! What finishes while a commit is under way goes into the next one. A call that somebody allowed starts when that is
//! durable, and keeps its place meanwhile. It must not know how one tool runs.

use crate::act::asking::{self, Answer};
use crate::act::calls::{Fate, Outcome, ToolCall};
use crate::act::results::Results;
use crate::act::tool_run::{self, NEVER_STARTED};
use crate::commit::committing;
use crate::commit::outbox::Outbox;
use crate::ctx::Ctx;
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

/// What came of something that ran beside the others.
enum Came<'c> {
    /// Somebody said whether the job may run.
    Answered(Job<'c>, Box<Answer>),
    /// The job is over.
    Done(Done),
}

/// A job that may run once what allowed it is durable.
struct Allowed<'c> {
    job: Job<'c>,
    changed: Option<Map<String, Value>>,
    /// So many items of the outbox come first.
    n_before: u64,
}

/// Runs every call that has no result yet, until each has one; what is left to commit stays in `outbox`.
///
/// Errors: the fault of a commit; what runs then is dropped.
pub(crate) async fn run_open(
    ctx: &Ctx<'_>,
    results: &mut Results<'_, '_>,
    history: &mut Vec<Box<RawValue>>,
    outbox: &mut Outbox,
) -> Result<(), Fault> {
    let calls = results.calls;
    let mut queue = jobs(calls, results.open());
    let step_id = results.step_id;
    let mut running: FuturesUnordered<BoxFuture<'_, Came<'_>>> = FuturesUnordered::new();
    let mut allowed: Vec<Allowed<'_>> = Vec::new();
    let mut exclusive_runs = false;
    let mut commit: Option<BoxFuture<'_, Result<(), Fault>>> = None;
    loop {
        if ctx.stop.is_given() {
            for Job { calls: idxs, tool, ask, .. } in queue.drain(..) {
                for idx in idxs {
                    if ask {
                        outbox.event(asking::withdrawn(step_id, &calls[idx], tool));
                    }
                    let outcome = Outcome::unrun(ToolStatus::Cancelled, NEVER_STARTED);
                    results.settle(idx, outcome, Vec::new(), history, outbox);
                }
            }
        }
        while may_start(ctx, &queue, running.len() + allowed.len(), exclusive_runs) {
            let job = queue.pop_front().expect("only a waiting call may start");
            exclusive_runs = job.tool.exclusive;
            running.push(match job.ask {
                true => ask_job(ctx, step_id, calls, job).boxed(),
                false => run_job(ctx, calls, job, None).boxed(),
            });
        }
        if commit.is_none() {
            for Allowed { job, changed, .. } in
                allowed.extract_if(.., |job| job.n_before <= outbox.n_committed())
            {
                running.push(run_job(ctx, calls, job, changed).boxed());
            }
        }
        let all_done = queue.is_empty() && running.is_empty() && allowed.is_empty();
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
            Some(came) = running.next(), if !running.is_empty() => {
                // Whatever else came by now shares the next commit.
                let mut next = Some(came);
                while let Some(came) = next {
                    match came {
                        Came::Answered(job, answer) => {
                            for idx in &job.calls {
                                outbox.event(answer.event_of(&calls[*idx]));
                            }
                            match answer.verdict {
                                Ok(changed) => allowed.push(Allowed { job, changed, n_before: outbox.n_put() }),
                                Err(outcome) => running.push(end_job(ctx, calls, job, outcome).boxed()),
                            }
                        }
                        Came::Done(done) => {
                            exclusive_runs &= !done.exclusive;
                            for Settled { idx, outcome, changed } in done.settled {
                                results.settle(idx, outcome, changed, history, outbox);
                            }
                        }
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
/// something stands between them, or they are not asked for in the same name: one question has one answer for all.
fn jobs<'c>(calls: &'c [ToolCall<'_>], open: impl Iterator<Item = usize>) -> VecDeque<Job<'c>> {
    let mut jobs: VecDeque<Job<'c>> = VecDeque::new();
    for idx in open {
        let Fate::Run { tool, args, ask } = &calls[idx].fate else { continue };
        let mut looks = jobs.iter_mut().rev().take_while(|job| job.tool.effect == Effect::Read);
        let shared = looks.find(|job| {
            tool.effect == Effect::Read
                && job.tool.name == tool.name
                && job.args == args
                && job.ask == *ask
                && calls[job.calls[0]].asked_by == calls[idx].asked_by
        });
        match shared {
            Some(job) => job.calls.push(idx),
            None => jobs.push_back(Job { calls: vec![idx], tool, args, ask: *ask }),
        }
    }
    jobs
}

async fn ask_job<'c>(ctx: &Ctx<'_>, step_id: &str, calls: &[ToolCall<'_>], job: Job<'c>) -> Came<'c> {
    let answer = asking::ask(ctx, step_id, &calls[job.calls[0]], job.tool).await;
    Came::Answered(job, Box::new(answer))
}

/// Runs the job, with the arguments that whoever allowed it put in their place.
async fn run_job<'c>(
    ctx: &Ctx<'_>,
    calls: &[ToolCall<'_>],
    job: Job<'c>,
    changed: Option<Map<String, Value>>,
) -> Came<'c> {
    let call = &calls[job.calls[0]];
    let outcome = match &changed {
        None => tool_run::run(ctx, call, job.tool, job.args).await,
        Some(args) => match tool_run::run(ctx, call, job.tool, args).await {
            never if never.content == NEVER_STARTED => never,
            ran => asking::told(ctx, ran, args),
        },
    };
    end_job(ctx, calls, job, outcome).await
}

async fn end_job<'c>(ctx: &Ctx<'_>, calls: &[ToolCall<'_>], job: Job<'c>, outcome: Outcome) -> Came<'c> {
    let mut settled = Vec::with_capacity(job.calls.len());
    for idx in job.calls {
        let mut changed = Vec::new();
        let outcome = tool_run::finish(ctx, &calls[idx], outcome.clone(), &mut changed).await;
        settled.push(Settled { idx, outcome, changed });
    }
    Came::Done(Done { exclusive: job.tool.exclusive, settled })
}
