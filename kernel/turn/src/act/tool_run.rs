//! One run of one tool: its live output, its end, and its end when the turn is stopped.
//!
//! It must not know the other calls of the step.

use crate::act::calls::{Outcome, ToolCall};
use crate::act::live_output::LiveOutput;
use crate::bound::head_and_tail;
use crate::commit::events::raw;
use crate::ctx::{Ctx, with_grace};
use crate::filter::filter_ops::ResultFields;
use crate::filter::filters::{self, Subject};
use crate::limits::{EMIT_GRACE_MS, TOOL_GRACE_MS};
use crate::parts;
use crate::ports::Item;
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::fault::{DEADLINE, PANICKED};
use dispatch_contracts::filter::Point;
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::message::ToolStatus;
use dispatch_contracts::tool::{RunParams, RunReply, ToolSpec};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// Told of a call that a stop left in the queue.
pub(crate) const NEVER_STARTED: &str = "the turn was stopped before this ran";
const STOPPED: &str = "the turn was stopped while this ran";
const STOPPED_UNFILTERED: &str = "the turn was stopped while the result was being filtered";

/// Runs the tool, unless the turn was stopped, and answers in every case.
pub(crate) async fn run(
    ctx: &Ctx<'_>,
    call: &ToolCall<'_>,
    tool: &ToolSpec,
    args: &Map<String, Value>,
) -> Outcome {
    if ctx.stop.is_given() {
        return Outcome::unrun(ToolStatus::Cancelled, NEVER_STARTED);
    }
    let started_at = ctx.now_ms();
    let _wait = ctx.wait(WaitOn::Tool, &tool.name, Some(&call.id));
    // The port runs other people's code in the end; whatever it throws ends this call alone.
    let ran = AssertUnwindSafe(answer(ctx, call, tool, args)).catch_unwind().await;
    let mut outcome =
        ran.unwrap_or_else(|panic| fault_outcome(tool, &Fault::new(PANICKED, panic_text(&*panic))));
    outcome.duration_ms = ctx.since(started_at);
    outcome
}

/// Filters a result, bounds it and has its images kept, in this order: a filter that sees half a key lets it pass, and
/// nothing is written that a filter takes out. After a stop the filters
/// have [`EMIT_GRACE_MS`]; unfiltered it is not shown.
pub(crate) async fn finish(
    ctx: &Ctx<'_>,
    call: &ToolCall<'_>,
    mut outcome: Outcome,
    changed: &mut Vec<EventBody>,
) -> Outcome {
    let limits = &ctx.tools.limits;
    if !outcome.detail.is_null() && raw(&outcome.detail).get().len() > limits.tool_detail_bytes_max {
        let message = format!("the detail of `{}` was left out: it is too large", call.id);
        ctx.frames.notice("detail_left_out", &message).await;
        outcome.detail = Value::Null;
    }
    if !ctx.tools.filtered(Point::ToolResult) {
        return bounded(ctx, outcome).await;
    }
    let fields = ResultFields {
        tool_call_id: call.id.clone(),
        name: call.name.clone(),
        content: std::mem::take(&mut outcome.content),
        is_error: outcome.status != ToolStatus::Ok,
        parts: std::mem::take(&mut outcome.parts),
    };
    let before = (!fields.parts.is_empty()).then(|| (fields.content.clone(), fields.parts.clone()));
    let filtering = filters::apply(ctx, Point::ToolResult, Some(&call.id), Subject::object(&fields), changed);
    match with_grace(ctx.ports, ctx.stop, EMIT_GRACE_MS, filtering).await {
        None => Outcome::unrun(ToolStatus::Cancelled, STOPPED_UNFILTERED),
        Some(Err(fault)) => Outcome {
            status: ToolStatus::Error,
            content: head_and_tail(&fault.message, limits.tool_result_bytes_max).into_owned(),
            detail: Value::Null,
            denied_by: None,
            ..outcome
        },
        Some(Ok(value)) => {
            let after: ResultFields = value.parse_object();
            outcome.status = match (outcome.status, after.is_error) {
                (ToolStatus::Ok, true) => ToolStatus::Error,
                (ToolStatus::Error, false) => ToolStatus::Ok,
                (status, _) => status,
            };
            let texts_stand =
                before.is_none_or(|(content, parts)| content == after.content || parts != after.parts);
            outcome.parts = match texts_stand {
                true => parts::accepted(after.parts),
                // A filter that knows no parts took something out of the text, which stands in the parts as well.
                false => parts::with_text(after.parts, &after.content),
            };
            outcome.content = after.content;
            bounded(ctx, outcome).await
        }
    }
}

/// The outcome as it is shown and kept.
async fn bounded(ctx: &Ctx<'_>, outcome: Outcome) -> Outcome {
    let content = head_and_tail(&outcome.content, ctx.tools.limits.tool_result_bytes_max).into_owned();
    Outcome { content, parts: parts::kept(ctx, outcome.parts).await, ..outcome }
}

async fn answer(ctx: &Ctx<'_>, call: &ToolCall<'_>, tool: &ToolSpec, args: &Map<String, Value>) -> Outcome {
    let params = RunParams { tool_call_id: call.id.clone(), args: args.clone(), cwd: ctx.about.cwd.clone() };
    let mut stream = ctx.ports.run_tool(&tool.name, params, tool.timeout_ms);
    let mut live = LiveOutput::new(ctx, call);
    loop {
        match ctx.stop.race(stream.next()).await {
            Some(Item::Frame(frame)) => live.show(frame).await,
            Some(Item::End(end)) => {
                live.finish().await;
                return end.map_or_else(|fault| fault_outcome(tool, &fault), Outcome::replied);
            }
            None => break,
        }
    }
    stream.cancel();
    let rest = async {
        loop {
            match stream.next().await {
                Item::Frame(frame) => live.show(frame).await,
                Item::End(end) => {
                    live.finish().await;
                    return end;
                }
            }
        }
    };
    let partial = tokio::select! {
        biased;
        end = rest => end.ok(),
        () = ctx.ports.sleep(TOOL_GRACE_MS) => None,
    };
    cancelled_outcome(partial)
}

fn cancelled_outcome(partial: Option<RunReply>) -> Outcome {
    match partial {
        Some(reply) if !reply.content.is_empty() => {
            let content = format!("{STOPPED}; until then:\n{}", reply.content);
            Outcome { detail: reply.detail, ..Outcome::unrun(ToolStatus::Cancelled, content) }
        }
        Some(_) | None => Outcome::unrun(ToolStatus::Cancelled, STOPPED),
    }
}

fn fault_outcome(tool: &ToolSpec, fault: &Fault) -> Outcome {
    let name = &tool.name;
    let content = match fault.code.as_str() {
        DEADLINE if tool.timeout_ms > 0 => {
            format!("`{name}` was ended: it took longer than its {} ms", tool.timeout_ms)
        }
        PANICKED => format!("`{name}` panicked: {}", fault.message),
        _ => fault.message.clone(),
    };
    Outcome::unrun(ToolStatus::Error, content)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
