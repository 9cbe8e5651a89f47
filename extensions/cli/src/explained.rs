//! An explanation as lines for a person; every text of somebody else passes through `one_line`.

use crate::render::{NOTE_CHARS_MAX, error_line};
use dispatch_sdk::contracts::event::{AllowScope, ApprovalDecision, DeniedBy, TurnEnded};
use dispatch_sdk::contracts::filter::Tightened;
use dispatch_sdk::contracts::plain::one_line;
use dispatch_sdk::contracts::provider::Usage;
use dispatch_sdk::contracts::turns::{
    ExplainReply, ExplainedApproval, ExplainedChange, ExplainedOp, ExplainedRetry, ExplainedStep,
    ExplainedTool,
};
use serde::Serialize;
use serde_json::Value;

const NAME_CHARS_MAX: usize = 120;
const VALUE_CHARS_MAX: usize = 200;

/// The whole page, its lines ended by a line feed.
pub(crate) fn page(reply: &ExplainReply) -> String {
    let mut lines = vec![
        format!(
            "turn {} of conversation {}: {}",
            name(&reply.turn_id),
            name(&reply.conversation_id),
            ending(reply)
        ),
        if reply.model.is_empty() {
            format!("provider {}", name(&reply.provider))
        } else {
            format!("provider {}, model {}", name(&reply.provider), name(&reply.model))
        },
    ];
    if let Some(stop) = &reply.stop {
        let by = if stop.by.is_empty() { String::new() } else { format!(" by {}", name(&stop.by)) };
        let after_ms = stop.at.saturating_sub(reply.started_at);
        lines.push(format!("its stop was asked for{by} after {after_ms} ms"));
    }
    for change in &reply.changes {
        push_change(&mut lines, "", change);
    }
    for step in &reply.steps {
        push_step(&mut lines, step);
    }
    for notice in &reply.notices {
        lines.push(format!("notice {}: {}", name(&notice.code), one_line(&notice.message, NOTE_CHARS_MAX)));
    }
    if let Some(error) = &reply.error {
        let class = error.class.map_or(error.code.as_str(), |class| class.code());
        lines.push(error_line(&error.message, class, error.retry_after_ms));
    }
    if reply.incomplete {
        lines.push(
            "something is missing: the turn is long, or the log holds rows that cannot be read".to_owned(),
        );
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn ending(reply: &ExplainReply) -> String {
    match &reply.ended {
        None => "not ended".to_owned(),
        Some(TurnEnded { status, reason, usage, duration_ms, .. }) => {
            let status = word(status);
            let why = if reason.is_empty() { String::new() } else { format!(" ({})", name(reason)) };
            format!("{status}{why} in {duration_ms} ms, {}", tokens(usage))
        }
    }
}

fn push_step(lines: &mut Vec<String>, step: &ExplainedStep) {
    let mut about = Vec::new();
    match &step.timing {
        Some(timing) => {
            let first =
                timing.first_ms.map_or("no content".to_owned(), |ms| format!("first content after {ms} ms"));
            about.push(format!("{} ms, stream {} ms, {first}", timing.step_ms, timing.stream_ms));
        }
        None => about.push("not completed".to_owned()),
    }
    about.extend(step.finish.map(|finish| format!("finish {}", word(&finish))));
    about.extend(step.usage.as_ref().map(tokens));
    lines.push(format!("step {}: {}", name(&step.step_id), about.join(", ")));
    for ExplainedRetry { attempt, delay_ms, class, message } in &step.retries {
        let message = one_line(message, NOTE_CHARS_MAX);
        lines.push(format!(
            "  attempt {attempt} failed, again after {delay_ms} ms: {message} ({})",
            class.code()
        ));
    }
    for tool in &step.tools {
        lines.push(tool_line(tool));
        lines.extend(tool.approval.as_ref().map(approval_line));
    }
    for change in &step.changes {
        push_change(lines, "  ", change);
    }
}

fn tool_line(tool: &ExplainedTool) -> String {
    let effect = tool.effect.map_or(String::new(), |effect| format!(" ({})", word(&effect)));
    let status = tool.status.map_or("no result".to_owned(), |status| word(&status));
    let by = match tool.denied_by {
        Some(DeniedBy::Policy) => " by the policy of the host",
        Some(DeniedBy::Approval) => " when asked",
        Some(DeniedBy::Filter) => " by a filter",
        Some(DeniedBy::Unknown) | None => "",
    };
    let took = tool.duration_ms.map_or(String::new(), |ms| format!(", {ms} ms"));
    let first = tool.reason.lines().next().unwrap_or_default();
    let why = if first.is_empty() { String::new() } else { format!(": {}", one_line(first, NOTE_CHARS_MAX)) };
    format!("  tool {}{effect} {}: {status}{by}{took}{why}", name(&tool.name), name(&tool.tool_call_id))
}

fn approval_line(approval: &ExplainedApproval) -> String {
    let by = if approval.by.is_empty() { String::new() } else { format!(" by {}", name(&approval.by)) };
    let waited = approval.waited_ms.map_or(String::new(), |ms| format!(" after {ms} ms"));
    let what = match approval.decision {
        None => "nobody has answered",
        Some(ApprovalDecision::Allow) if approval.scope == Some(AllowScope::Conversation) => {
            "allowed in this conversation"
        }
        Some(ApprovalDecision::Allow) => "allowed",
        Some(ApprovalDecision::Deny) => "denied",
        Some(ApprovalDecision::Withdrawn) => "withdrawn: the turn was stopped",
        Some(ApprovalDecision::Unknown) => "answered in words of a later version",
    };
    let args = match approval.args.as_str() {
        "" => String::new(),
        args => format!("; it ran with {}", one_line(args, VALUE_CHARS_MAX)),
    };
    format!("    asked: {what}{by}{waited}{args}")
}

fn push_change(lines: &mut Vec<String>, indent: &str, change: &ExplainedChange) {
    let call = change.tool_call_id.as_deref().map_or(String::new(), |id| format!(" on {}", name(id)));
    let took = change.duration_ms.map_or(String::new(), |ms| format!(", {ms} ms"));
    let who = format!("filter {} at {}{call}{took}", name(&change.filter), word(&change.point));
    let decided = match &change.policy {
        Some(Tightened::Ask) => ": wants a person asked".to_owned(),
        Some(Tightened::Deny { reason }) => format!(": denies it: {}", one_line(reason, NOTE_CHARS_MAX)),
        Some(Tightened::Unknown) => ": decides in a way that is not understood here".to_owned(),
        None if change.answered => ": answered in the tool's place".to_owned(),
        None => String::new(),
    };
    lines.push(format!("{indent}{who}{decided}"));
    lines.extend(change.ops.iter().map(|op| format!("{indent}  {}", op_line(op))));
}

fn op_line(op: &ExplainedOp) -> String {
    let at = op.at.as_ref().map_or(String::new(), |at| format!(" {}", value(at)));
    let what = format!("{}{at}", name(&op.op));
    let cut = if op.cut { " (cut)" } else { "" };
    match (&op.before, &op.after) {
        (Some(before), Some(after)) => format!("{what}: {} → {}{cut}", value(before), value(after)),
        (Some(before), None) => format!("{what}: was {}{cut}", value(before)),
        (None, Some(after)) => format!("{what}: {}{cut}", value(after)),
        (None, None) => what,
    }
}

fn tokens(usage: &Usage) -> String {
    format!("{} tokens in, {} out", usage.input_tokens, usage.output_tokens)
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text, VALUE_CHARS_MAX),
        other => one_line(&other.to_string(), VALUE_CHARS_MAX),
    }
}

fn name(text: &str) -> String {
    one_line(text, NAME_CHARS_MAX)
}

/// The word that an enum without fields is on the wire.
fn word(word: &impl Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
