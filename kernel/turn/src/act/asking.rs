//! The question whether a call may run: put to whoever answers for people, and told in the log before and after.
//!
//! It must not know when what it tells is durable: the pool starts nothing before that.

use crate::act::calls::{Outcome, ToolCall};
use crate::act::schemas::Schemas;
use crate::act::tool_run::NEVER_STARTED;
use crate::bound::head_and_tail;
use crate::commit::events::{event, raw};
use crate::ctx::Ctx;
use dispatch_contracts::event::{
    APPROVAL_REQUESTED, APPROVAL_RESOLVED, ApprovalDecision, ApprovalRequested, ApprovalResolved, DeniedBy,
    EventBody,
};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::message::{Part, ToolStatus};
use dispatch_contracts::tool::ToolSpec;
use dispatch_contracts::turn::{AskParams, AskReply};
use serde_json::{Map, Value};

/// What a question came to.
pub(crate) struct Answer {
    resolved: ApprovalResolved,
    /// The arguments to run it with, if others than those that were asked about; or its result.
    pub(crate) verdict: Result<Option<Map<String, Value>>, Outcome>,
}

impl Answer {
    /// The event, for one of the calls that the answer is about.
    pub(crate) fn event_of(&self, call: &ToolCall<'_>) -> EventBody {
        event(APPROVAL_RESOLVED, &ApprovalResolved { tool_call_id: call.id.clone(), ..self.resolved.clone() })
    }

    fn denied(resolved: ApprovalResolved, by: String, why: &str) -> Self {
        let content = format!("`{}` was not run: {why}", resolved.tool);
        let resolved =
            ApprovalResolved { decision: ApprovalDecision::Deny, by, reason: why.to_owned(), ..resolved };
        Self { resolved, verdict: Err(Outcome::denied(DeniedBy::Approval, content)) }
    }
}

/// The event that goes into the log before anybody is asked.
pub(crate) fn requested(step_id: &str, call: &ToolCall<'_>, tool: &ToolSpec) -> EventBody {
    let requested = ApprovalRequested {
        step_id: step_id.to_owned(),
        tool_call_id: call.id.clone(),
        tool: tool.name.clone(),
        effect: tool.effect,
        args: call.args.clone(),
    };
    event(APPROVAL_REQUESTED, &requested)
}

/// The event of a question that was never put, because the turn was stopped.
pub(crate) fn withdrawn(step_id: &str, call: &ToolCall<'_>, tool: &ToolSpec) -> EventBody {
    event(APPROVAL_RESOLVED, &unanswered(step_id, call, tool))
}

fn unanswered(step_id: &str, call: &ToolCall<'_>, tool: &ToolSpec) -> ApprovalResolved {
    ApprovalResolved {
        step_id: step_id.to_owned(),
        tool_call_id: call.id.clone(),
        tool: tool.name.clone(),
        decision: ApprovalDecision::Withdrawn,
        by: String::new(),
        scope: None,
        reason: String::new(),
        args: None,
    }
}

/// Asks whether the call may run.
pub(crate) async fn ask(ctx: &Ctx<'_>, step_id: &str, call: &ToolCall<'_>, tool: &ToolSpec) -> Answer {
    let params = AskParams {
        conversation_id: ctx.about.conversation_id.clone(),
        turn_id: ctx.about.turn_id.clone(),
        tool_call_id: call.id.clone(),
        tool: tool.name.clone(),
        effect: tool.effect,
        args: call.args.clone(),
        asked_by: call.asked_by.clone(),
    };
    let resolved = unanswered(step_id, call, tool);
    let wait = ctx.wait(WaitOn::Ask, &tool.name, Some(&call.id));
    let reply = ctx.stop.race(async { ctx.ports.ask(params).await }).await;
    drop(wait);
    let (scope, args, by) = match reply {
        None => {
            let outcome = Outcome::unrun(ToolStatus::Cancelled, NEVER_STARTED);
            return Answer { resolved, verdict: Err(outcome) };
        }
        Some(Ok(AskReply::Allow { scope, args, by })) => (scope, args, by),
        Some(Ok(AskReply::Deny { reason, by })) => return Answer::denied(resolved, by, &reason),
        Some(Ok(AskReply::Unknown)) => {
            let why = "the answer to the question is not understood here";
            return Answer::denied(resolved, String::new(), why);
        }
        Some(Err(fault)) => {
            let why = format!("nobody could be asked: {}", fault.message);
            return Answer::denied(resolved, String::new(), &why);
        }
    };
    let args = args.filter(|args| call.args.as_object() != Some(args));
    if let Some(args) = &args
        && let Err(what) = fits(ctx, tool, args).await
    {
        return Answer::denied(
            resolved,
            by,
            &format!("whoever allowed it changed its arguments, and {what}"),
        );
    }
    let resolved = ApprovalResolved {
        decision: ApprovalDecision::Allow,
        by,
        scope: Some(scope),
        args: args.clone(),
        ..resolved
    };
    Answer { resolved, verdict: Ok(args) }
}

/// Whether the tool takes changed arguments, and a message holds them.
async fn fits(ctx: &Ctx<'_>, tool: &ToolSpec, args: &Map<String, Value>) -> Result<(), String> {
    let (n_bytes, n_max) = (raw(args).get().len(), ctx.tools.limits.message_bytes_max);
    if n_bytes > n_max {
        return Err(format!("they have {n_bytes} bytes, more than {n_max}"));
    }
    // Compiled anew: it happens as often as a person types.
    Schemas::default().check(ctx, tool, &Value::Object(args.clone())).await
}

/// The result of a call that ran with changed arguments: the model reads with which. Long ones leave room for the rest.
pub(crate) fn told(ctx: &Ctx<'_>, outcome: Outcome, args: &Map<String, Value>) -> Outcome {
    let args = raw(args);
    let args = head_and_tail(args.get(), ctx.tools.limits.tool_result_bytes_max / 2);
    let changed = format!("whoever allowed this changed its arguments; it ran with {args}");
    let content = format!("{changed}\n{}", outcome.content);
    let mut parts = outcome.parts;
    if !parts.is_empty() {
        parts.insert(0, Part::Text { text: changed });
    }
    Outcome { content, parts, ..outcome }
}
