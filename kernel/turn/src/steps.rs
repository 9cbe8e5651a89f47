//! The steps of a turn, one after another: ask the provider, run what it asks for, go on.

use crate::act::asking;
use crate::act::calls::{Desk, Fate, ToolCall};
use crate::act::pool;
use crate::act::results::Results;
use crate::act::tool_run;
use crate::ask::request::{self, Request};
use crate::ask::stream::{self, StreamEnd, Streamed};
use crate::commit::draft::{DraftPart, message_too_large};
use crate::commit::ending::{self, Done, Ending, Spent};
use crate::commit::events::{self, event, sum};
use crate::commit::messages;
use crate::commit::outbox::Outbox;
use crate::ctx::Ctx;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{EventBody, STEP_COMPLETED, StepCompleted, TOOL_CALL, ToolCalled, TurnEnded};
use dispatch_contracts::fault::UNKNOWN_VERB;
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::provider::{FaultClass, Finish, StreamReply, ToolOffer, Usage};
use dispatch_contracts::turn::{BoundaryParams, BoundaryReason, SteeringReply};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::PoisonError;

/// A turn under way.
pub(crate) struct Turn<'a> {
    ctx: &'a Ctx<'a>,
    desk: Desk<'a>,
    history: Vec<Box<RawValue>>,
    offers: Vec<ToolOffer>,
    outbox: Outbox,
    /// Ids of what was said meanwhile and is in the history.
    steered: HashSet<String>,
    spent: Spent,
}

/// One step whose stream is over.
struct Step {
    id: String,
    idx: u32,
    streamed: Streamed,
    /// `<provider>/<model>`.
    producer: String,
}

impl Step {
    fn usage(&self) -> Option<Usage> {
        match &self.streamed.end {
            StreamEnd::Replied(reply) => reply.usage,
            StreamEnd::Stopped | StreamEnd::Failed(_) => None,
        }
    }
}

/// Whether a request was too long, for the provider or for us, and nothing of its answer was shown.
fn overflows(asked: &Result<(Streamed, String), Fault>) -> bool {
    match asked {
        Ok((Streamed { end: StreamEnd::Failed(failure), shown, .. }, _)) => {
            failure.error.class == Some(FaultClass::ContextOverflow) && !shown
        }
        Ok(_) => false,
        Err(fault) => is_overflow(fault),
    }
}

fn is_overflow(fault: &Fault) -> bool {
    fault.is(FaultClass::ContextOverflow.code())
}

impl<'a> Turn<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>, history: Vec<Box<RawValue>>) -> Self {
        let (usage, last_usage) = (Usage::default(), Usage::default());
        Self {
            ctx,
            desk: Desk::new(ctx),
            history,
            offers: Vec::new(),
            outbox: Outbox::default(),
            steered: HashSet::new(),
            spent: Spent { started_at: ctx.now_ms(), usage, last_usage },
        }
    }

    pub(crate) async fn run(mut self) -> TurnEnded {
        let ending = match self.steps().await {
            Ok(ending) => ending,
            Err(fault) => Ending::CommitFailed(fault),
        };
        ending::write_down(self.ctx, self.outbox, ending, self.spent).await
    }

    /// All steps. Errors, here and below: the fault of a commit.
    async fn steps(&mut self) -> Result<Ending, Fault> {
        let ctx = self.ctx;
        self.boundary(BoundaryReason::Start, &self.step_id(0)).await;
        let mut changed = Vec::new();
        let started = ctx.stop.race(async {
            request::filter_input(ctx, &mut self.history, &mut changed).await?;
            request::offers(ctx, &mut changed).await
        });
        let started = started.await;
        self.note(changed);
        match started {
            Some(Ok(offers)) => self.offer(offers),
            Some(Err(fault)) => return Ok(Ending::failed(&fault)),
            None => return Ok(Ending::Stopped),
        }
        let mut step_idx = 0;
        loop {
            match self.step(step_idx).await? {
                // What was said while the last step ran is heard in this turn.
                Some(Ending::Completed(Done::Finished(finish))) if !self.is_last(step_idx) => {
                    if !self.steer().await? {
                        return Ok(Ending::Completed(Done::Finished(finish)));
                    }
                }
                Some(ending) => return Ok(ending),
                None => {
                    self.steer().await?;
                }
            }
            step_idx += 1;
            self.boundary(BoundaryReason::Step, &self.step_id(step_idx)).await;
            if ctx.stop.is_given() {
                return Ok(Ending::Stopped);
            }
        }
    }

    /// One step; `None` = the turn goes on.
    async fn step(&mut self, step_idx: u32) -> Result<Option<Ending>, Fault> {
        let ctx = self.ctx;
        let step_id = self.step_id(step_idx);
        ctx.progress.enter_step(step_idx);
        let mut changed = Vec::new();
        if step_idx > 0 {
            match ctx.stop.race(request::renewed_offers(ctx, &mut changed)).await {
                Some(Ok(Some(offers))) => self.offer(offers),
                Some(Ok(None)) => {}
                Some(Err(fault)) => {
                    self.note(changed);
                    return Ok(Some(Ending::failed(&fault)));
                }
                None => return Ok(Some(Ending::Stopped)),
            }
        }
        let mut asked = self.ask(&step_id, &mut changed).await;
        if asked.as_ref().is_some_and(overflows) && self.boundary(BoundaryReason::Overflow, &step_id).await {
            let message = "the history was too long and was replaced; the step is tried again";
            ctx.frames.notice("history_replaced", message).await;
            asked = self.ask(&step_id, &mut changed).await;
        }
        self.note(changed);
        if ctx.stop.is_given() && asked.as_ref().is_some_and(overflows) {
            return Ok(Some(Ending::Stopped));
        }
        let (streamed, producer) = match asked {
            Some(Ok(asked)) => asked,
            Some(Err(fault)) if is_overflow(&fault) => return Ok(Some(Ending::history_too_long(&fault))),
            Some(Err(fault)) => return Ok(Some(Ending::failed(&fault))),
            None => return Ok(Some(Ending::Stopped)),
        };
        let step = Step { id: step_id, idx: step_idx, streamed, producer };
        let ending = match &step.streamed.end {
            StreamEnd::Replied(reply) => return self.act(&step, reply).await,
            StreamEnd::Stopped => Ending::Stopped,
            StreamEnd::Failed(failure) => Ending::failed_by_provider(&failure.error),
        };
        self.break_off(&step).await;
        Ok(Some(ending))
    }

    fn offer(&mut self, offers: Vec<ToolOffer>) {
        let names = offers.iter().map(|offer| offer.name.clone()).collect();
        *self.ctx.offered.write().unwrap_or_else(PoisonError::into_inner) = Some(names);
        self.desk.forget_schemas();
        self.offers = offers;
    }

    /// One request with its retries; `None` = stopped before it was sent. The fault is a filter's.
    async fn ask(
        &self,
        step_id: &str,
        changed: &mut Vec<EventBody>,
    ) -> Option<Result<(Streamed, String), Fault>> {
        let ctx = self.ctx;
        let prepared = ctx.stop.race(Request::prepare(ctx, &self.history, &self.offers, changed)).await?;
        let request = match prepared {
            Ok(request) => request,
            Err(fault) => return Some(Err(fault)),
        };
        let streamed = stream::run(ctx, step_id, &request).await;
        let answered = match &streamed.end {
            StreamEnd::Replied(StreamReply { model, .. }) => model.as_str(),
            StreamEnd::Stopped | StreamEnd::Failed(_) => "",
        };
        let model = if request.model().is_empty() { answered } else { request.model() };
        let producer = format!("{}/{model}", ctx.about.provider);
        Some(Ok((streamed, producer)))
    }

    /// Keeps what a finished stream says, runs what it asks for, and completes the step.
    async fn act(&mut self, step: &Step, reply: &StreamReply) -> Result<Option<Ending>, Fault> {
        let ctx = self.ctx;
        let finish = reply.finish;
        let parts = &step.streamed.parts;
        if !parts.iter().any(|part| matches!(part, DraftPart::Call(_))) {
            let message = messages::said(parts, &step.producer);
            if message.as_ref().is_some_and(|message| self.too_large(message)) {
                self.complete(step, None);
                return Ok(Some(Ending::failed(&message_too_large(ctx, &step.id))));
            }
            message.into_iter().for_each(|message| self.keep(message));
            self.complete(step, Some(finish));
            return Ok(Some(Ending::finished(finish)));
        }
        let mut changed = Vec::new();
        let Some(calls) = ctx.stop.race(self.plan(parts, &mut changed)).await else {
            // Nobody saw these calls yet: they were never made.
            self.break_off(step).await;
            return Ok(Some(Ending::Stopped));
        };
        let message = messages::asked(parts, &calls, &step.producer);
        if self.too_large(&message) {
            self.break_off(step).await;
            return Ok(Some(Ending::failed(&message_too_large(ctx, &step.id))));
        }
        self.note_left_out(step).await;
        self.note(changed);
        self.keep(message);
        self.run_calls(step, &calls).await?;
        let stopped = ctx.stop.is_given();
        self.complete(step, (!stopped).then_some(finish));
        if stopped {
            return Ok(Some(Ending::Stopped));
        }
        if self.is_last(step.idx) {
            let message = format!("the turn ended after {} steps, as many as it may take", step.idx + 1);
            ctx.frames.notice("max_steps", &message).await;
            return Ok(Some(Ending::Completed(Done::MaxSteps)));
        }
        self.outbox.flush(ctx).await?;
        Ok(None)
    }

    async fn plan(&mut self, parts: &[DraftPart], changed: &mut Vec<EventBody>) -> Vec<ToolCall<'a>> {
        let mut calls = Vec::new();
        for part in parts {
            match part {
                DraftPart::Call(call) => calls.push(self.desk.plan(call, &self.offers, changed).await),
                DraftPart::Text(_) | DraftPart::Reasoning { .. } => {}
            }
        }
        calls
    }

    /// Shows the calls and their results. A tool starts only after the commit that shows its call.
    async fn run_calls(&mut self, step: &Step, calls: &[ToolCall<'a>]) -> Result<(), Fault> {
        let ctx = self.ctx;
        for call in calls {
            let called = ToolCalled {
                step_id: step.id.clone(),
                tool_call_id: call.id.clone(),
                name: call.name.clone(),
                args: call.args.clone(),
                effect: ctx.tools.spec(&call.name).map(|tool| tool.effect),
            };
            self.outbox.event(event(TOOL_CALL, &called));
            if let Fate::Run { tool, ask: true, .. } = &call.fate {
                self.outbox.event(asking::requested(&step.id, call, tool));
            }
        }
        let mut results = Results::new(&step.id, calls);
        for (idx, call) in calls.iter().enumerate() {
            if let Fate::Answered(outcome) = &call.fate {
                let mut changed = Vec::new();
                let outcome = tool_run::finish(ctx, call, outcome.clone(), &mut changed).await;
                results.settle(idx, outcome, changed, &mut self.history, &mut self.outbox);
            }
        }
        if results.open().next().is_none() {
            return Ok(());
        }
        self.outbox.flush(ctx).await?;
        pool::run_open(ctx, &mut results, &mut self.history, &mut self.outbox).await
    }

    /// Completes a step that did not come to its calls: they are dropped, what was said is kept.
    async fn break_off(&mut self, step: &Step) {
        match messages::said(&step.streamed.parts, &step.producer) {
            Some(message) if self.too_large(&message) => {
                let message = message_too_large(self.ctx, &step.id).message;
                self.ctx.frames.notice("text_left_out", &message).await;
            }
            Some(message) => self.keep(message),
            None => {}
        }
        self.complete(step, None);
    }

    /// The step's last two events.
    fn complete(&mut self, step: &Step, finish: Option<Finish>) {
        if step.idx == 0 {
            self.ctx.timing.first_step(step.streamed.first_byte_ms, step.streamed.first_ms);
        }
        if let Some(usage) = step.usage() {
            self.spent.usage = sum(self.spent.usage, usage);
            self.spent.last_usage = usage;
            self.outbox.event(events::usage(&step.id, usage));
        }
        let completed = StepCompleted {
            step_id: step.id.clone(),
            finish,
            first_ms: step.streamed.first_ms,
            stream_ms: step.streamed.stream_ms,
            step_ms: self.ctx.since(step.streamed.requested_at),
        };
        self.outbox.event(event(STEP_COMPLETED, &completed));
    }

    /// Takes what was said meanwhile into the history, and says whether there was any. It counts as taken when its event
    /// is committed, with the ids that it came with; until then whoever keeps it keeps it.
    async fn steer(&mut self) -> Result<bool, Fault> {
        let ctx = self.ctx;
        if ctx.stop.is_given() {
            return Ok(false);
        }
        let wait = ctx.wait(WaitOn::Steering, "", None);
        let said = match ctx.stop.race(async { ctx.ports.steering().await }).await {
            None => return Ok(false),
            Some(Ok(reply)) => reply,
            // Whoever runs the turn has nothing to say in it.
            Some(Err(fault)) if fault.is(UNKNOWN_VERB) => return Ok(false),
            Some(Err(fault)) => {
                let message = format!("steering could not be read: {}", fault.message);
                ctx.frames.notice("steering_failed", &message).await;
                return Ok(false);
            }
        };
        drop(wait);
        let said = self.not_taken_yet(said);
        if said.messages.is_empty() {
            return Ok(false);
        }
        self.outbox.event(events::steering(&said));
        said.messages.into_iter().for_each(|message| self.keep(message));
        self.outbox.flush(ctx).await?;
        Ok(true)
    }

    /// What of `said` this turn has not committed yet: whoever keeps it may not have heard of the commit.
    fn not_taken_yet(&mut self, said: SteeringReply) -> SteeringReply {
        if said.ids.len() != said.messages.len() {
            return SteeringReply { ids: Vec::new(), ..said };
        }
        let all = said.ids.into_iter().zip(said.messages);
        let (ids, messages) = all.filter(|(id, _)| self.steered.insert(id.clone())).unzip();
        SteeringReply { ids, messages }
    }

    /// Lets the caller replace the working history, where it wants to be asked; whether it did.
    async fn boundary(&mut self, reason: BoundaryReason, step_id: &str) -> bool {
        let ctx = self.ctx;
        if !ctx.about.boundaries.contains(&reason) {
            return false;
        }
        let (turn_id, step_id) = (ctx.about.turn_id.clone(), step_id.to_owned());
        let params = BoundaryParams { turn_id, step_id, reason, usage: self.spent.last_usage };
        let _wait = ctx.wait(WaitOn::Boundary, "", None);
        match ctx.stop.race(async { ctx.ports.boundary(params).await }).await {
            None => false,
            Some(Ok(reply)) => reply.messages.map(|messages| self.history = messages).is_some(),
            Some(Err(fault)) => {
                let message = format!("the history stays as it is: {}", fault.message);
                ctx.frames.notice("boundary_failed", &message).await;
                false
            }
        }
    }

    fn step_id(&self, step_idx: u32) -> String {
        format!("{}#{step_idx}", self.ctx.about.turn_id)
    }

    async fn note_left_out(&self, step: &Step) {
        let n = step.streamed.n_calls_left_out;
        if n > 0 {
            let message = format!("the model made too many tool calls at once; the last {n} were left out");
            self.ctx.frames.notice("tool_calls_left_out", &message).await;
        }
    }

    fn is_last(&self, step_idx: u32) -> bool {
        let steps_max = self.ctx.about.steps_max;
        steps_max > 0 && step_idx + 1 >= steps_max
    }

    fn too_large(&self, message: &RawValue) -> bool {
        message.get().len() > self.ctx.tools.limits.message_bytes_max
    }

    fn keep(&mut self, message: Box<RawValue>) {
        self.history.push(message.clone());
        self.outbox.message(message);
    }

    fn note(&mut self, changed: Vec<EventBody>) {
        changed.into_iter().for_each(|event| self.outbox.event(event));
    }
}
