//! From the rows of one turn to its explanation.
//!
//! Everything between the ends of two steps belongs to the later one; only `turn.input` and `turn.tools` come before all.

use super::changes::Known;
use super::facts::{Called, Fact, Row, shorten};
use dispatch_sdk::contracts::event::{ApprovalResolved, RetryScheduled, StepCompleted, ToolResulted};
use dispatch_sdk::contracts::filter::Point;
use dispatch_sdk::contracts::message::ToolStatus;
use dispatch_sdk::contracts::turns::{
    ExplainReply, ExplainedApproval, ExplainedChange, ExplainedRetry, ExplainedStep, ExplainedTool,
    StepTiming,
};
use serde_json::Value;
use std::collections::HashMap;

/// Tells the turn; `rows` are in the order of the log.
pub(super) fn tell(
    conversation_id: String,
    turn_id: String,
    rows: Vec<Row>,
    incomplete: bool,
) -> ExplainReply {
    let reply = ExplainReply {
        conversation_id,
        turn_id,
        started_at: rows.first().map_or(0, |row| row.at),
        provider: String::new(),
        model: String::new(),
        changes: Vec::new(),
        steps: Vec::new(),
        notices: Vec::new(),
        error: None,
        ended: None,
        stop: None,
        incomplete,
    };
    let mut teller = Teller { reply, open: None, known: Known::default(), asked_at: HashMap::new() };
    rows.into_iter().for_each(|row| teller.row(row));
    teller.close();
    teller.reply
}

struct Teller {
    reply: ExplainReply,
    /// The step whose end has not come.
    open: Option<ExplainedStep>,
    known: Known,
    /// When it was asked about the calls that nobody has answered for, unix ms.
    asked_at: HashMap<String, u64>,
}

impl Teller {
    fn row(&mut self, row: Row) {
        match row.fact {
            Fact::Started(started) => {
                self.reply.provider = started.provider;
                self.reply.model = started.model;
            }
            Fact::Changed(change) => self.change(change),
            Fact::Called(called) => self.called(called),
            Fact::Asked(asked) => {
                if let Some(tool) = self.tool(asked.step_id, &asked.tool_call_id) {
                    tool.approval = Some(ExplainedApproval::default());
                    self.asked_at.insert(asked.tool_call_id, row.at);
                }
            }
            Fact::Resolved(resolved) => self.resolved(resolved, row.at),
            Fact::Resulted(result) => self.resulted(result),
            Fact::Spent(spent) => self.step(Some(spent.step_id)).usage = Some(spent.usage),
            Fact::Completed(completed) => self.completed(completed),
            Fact::Retried(retry) => {
                let RetryScheduled { step_id, attempt, delay_ms, class, message } = retry;
                self.step(Some(step_id)).retries.push(ExplainedRetry { attempt, delay_ms, class, message });
            }
            Fact::Noticed(notice) => self.reply.notices.push(notice),
            Fact::Failed(error) => self.reply.error = Some(error),
            Fact::Ended(ended) => self.reply.ended = Some(ended),
        }
    }

    fn change(&mut self, mut change: ExplainedChange) {
        match change.point {
            Point::TurnInput | Point::TurnTools => self.reply.changes.push(change),
            Point::TurnMessages
            | Point::ProviderRequest
            | Point::ToolCall
            | Point::ToolResult
            | Point::ToolOutput
            | Point::Unknown => {
                self.step(None);
                self.known.fill(&mut change);
                self.step(None).changes.push(change);
            }
        }
    }

    fn called(&mut self, called: Called) {
        let Called { step_id, tool_call_id, name, effect } = called;
        let tool = ExplainedTool {
            tool_call_id,
            name,
            effect,
            status: None,
            duration_ms: None,
            denied_by: None,
            approval: None,
            reason: String::new(),
        };
        self.step(Some(step_id)).tools.push(tool);
    }

    fn resolved(&mut self, resolved: ApprovalResolved, at: u64) {
        let ApprovalResolved { step_id, tool_call_id, decision, by, scope, args, .. } = resolved;
        let waited_ms = self.asked_at.remove(&tool_call_id).map(|asked_at| at.saturating_sub(asked_at));
        let mut args = args.map_or(String::new(), |args| Value::Object(args).to_string());
        shorten(&mut args);
        if let Some(tool) = self.tool(step_id, &tool_call_id) {
            tool.approval = Some(ExplainedApproval { decision: Some(decision), by, scope, waited_ms, args });
        }
    }

    fn resulted(&mut self, result: ToolResulted) {
        if let Some(tool) = self.tool(result.step_id, &result.tool_call_id) {
            tool.status = Some(result.status);
            tool.duration_ms = Some(result.duration_ms);
            tool.denied_by = result.denied_by;
            tool.reason = if result.status == ToolStatus::Ok { String::new() } else { result.content };
        }
    }

    /// A call of the step under way; it may have been left out.
    fn tool(&mut self, step_id: String, tool_call_id: &str) -> Option<&mut ExplainedTool> {
        self.step(Some(step_id)).tools.iter_mut().find(|tool| tool.tool_call_id == tool_call_id)
    }

    fn completed(&mut self, completed: StepCompleted) {
        let StepCompleted { step_id, finish, first_ms, stream_ms, step_ms } = completed;
        let step = self.step(Some(step_id));
        step.finish = finish;
        step.timing = Some(StepTiming { first_ms, stream_ms, step_ms });
        self.close();
    }

    /// The step under way; `step_id` as an event of it says, else counted.
    fn step(&mut self, step_id: Option<String>) -> &mut ExplainedStep {
        let (turn_id, model, n_steps) = (&self.reply.turn_id, &self.reply.model, self.reply.steps.len());
        let known = &mut self.known;
        let step = self.open.get_or_insert_with(|| {
            *known = Known::of_step(model);
            ExplainedStep { step_id: format!("{turn_id}#{n_steps}"), ..ExplainedStep::default() }
        });
        if let Some(step_id) = step_id {
            step.step_id = step_id;
        }
        step
    }

    fn close(&mut self) {
        self.reply.steps.extend(self.open.take());
    }
}
