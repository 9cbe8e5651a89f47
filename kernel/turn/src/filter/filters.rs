//! Asks the filters of one point, one after another, and keeps to what each declared: how much it reads, and what its
//! failure means.

use crate::bound::head_and_tail;
use crate::commit::events::{event, raw};
use crate::ctx::Ctx;
use crate::filter::filter_ops::{change_list, change_object};
use crate::limits::TOOL_RESULT_OPS_BYTES_MAX;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{EventBody, FILTER_CHANGED, FilterChanged};
use dispatch_contracts::fault::{BROKEN, TOO_LARGE};
use dispatch_contracts::filter::{
    ApplyParams, ApplyReply, FilterOp, FilterSpec, OnFault, Point, Reads, Tightened,
};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::tool::RunReply;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::PoisonError;

/// Code of the notice about a filter that is fail-open.
const FILTER_FAILED: &str = "filter_failed";

/// A value at a point: a list of elements that stay bytes, or an object.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    List(Vec<Box<RawValue>>),
    Object(Map<String, Value>),
}

impl Subject {
    /// `fields` as an object.
    pub(crate) fn object(fields: &impl Serialize) -> Self {
        match serde_json::to_value(fields).expect("the fields of a point have string keys") {
            Value::Object(object) => Self::Object(object),
            other => unreachable!("the fields of a point are a struct, not `{other}`"),
        }
    }

    /// `items` as a list.
    pub(crate) fn list<T: Serialize>(items: &[T]) -> Self {
        Self::List(items.iter().map(raw).collect())
    }

    /// The elements.
    pub(crate) fn into_list(self) -> Vec<Box<RawValue>> {
        match self {
            Self::List(list) => list,
            Self::Object(_) => unreachable!("operations do not make an object of a list"),
        }
    }

    /// The elements, parsed.
    pub(crate) fn parse_list<T: DeserializeOwned>(self) -> Vec<T> {
        let parse = |item: Box<RawValue>| serde_json::from_str(item.get()).expect("each element was checked");
        self.into_list().into_iter().map(parse).collect()
    }

    /// The object, parsed.
    pub(crate) fn parse_object<T: DeserializeOwned>(self) -> T {
        match self {
            Self::Object(object) => serde_json::from_value(Value::Object(object))
                .expect("the object was checked after each change"),
            Self::List(_) => unreachable!("operations do not make a list of an object"),
        }
    }

    fn n_items(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Object(_) => 0,
        }
    }

    fn whole(&self) -> Box<RawValue> {
        match self {
            Self::List(list) => raw(list),
            Self::Object(object) => raw(object),
        }
    }

    fn last(&self) -> Option<Box<RawValue>> {
        match self {
            Self::List(list) => list.last().cloned(),
            Self::Object(_) => None,
        }
    }
}

/// What the filters of a call say beside its value, each with the name of the filter.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// It is answered; the tool does not run.
    pub(crate) answer: Option<(String, RunReply)>,
    /// A person is asked, whatever the policy says.
    pub(crate) asked_by: Option<String>,
    /// It may not run, and why.
    pub(crate) denied: Option<(String, String)>,
}

impl Verdict {
    /// Takes in what one filter said. The strictest holds; an answer loosens nothing that was said before it.
    fn hear(&mut self, filter: &str, result: Option<RunReply>, policy: Option<&Tightened>) {
        match policy {
            Some(Tightened::Deny { reason }) => self.denied = Some((filter.to_owned(), reason.clone())),
            Some(Tightened::Unknown) => {
                let why = format!("the filter `{filter}` decides in a way that is not understood here");
                self.denied = Some((filter.to_owned(), why));
            }
            Some(Tightened::Ask) => {
                self.asked_by.get_or_insert_with(|| filter.to_owned());
            }
            None => {}
        }
        self.answer = result.map(|reply| (filter.to_owned(), reply));
    }

    /// Whether no further filter has anything to see.
    fn is_final(&self) -> bool {
        self.answer.is_some() || self.denied.is_some()
    }
}

/// `value` after every filter of `point`; each change becomes an event in `changed`.
///
/// Errors: the fault of a filter that is fail-closed. One that is fail-open leaves the value as it was before it; what it
/// decided about a call holds all the same.
pub(crate) async fn apply(
    ctx: &Ctx<'_>,
    point: Point,
    tool_call_id: Option<&str>,
    value: Subject,
    changed: &mut Vec<EventBody>,
) -> Result<Subject, Fault> {
    Ok(judge(ctx, point, tool_call_id, value, changed).await?.0)
}

/// The same, with what filters of calls say beside the value.
pub(crate) async fn judge(
    ctx: &Ctx<'_>,
    point: Point,
    tool_call_id: Option<&str>,
    mut value: Subject,
    changed: &mut Vec<EventBody>,
) -> Result<(Subject, Verdict), Fault> {
    let mut verdict = Verdict::default();
    for filter in ctx.tools.filters_at(point) {
        let asked_at = ctx.now_ms();
        let wait = ctx.wait(WaitOn::Filter, &filter.name, tool_call_id);
        let answer = ask(ctx, filter, &value).await;
        drop(wait);
        match answer {
            Ok(None) => {}
            Ok(Some((next, ApplyReply { ops, result, policy }))) => {
                value = next;
                verdict.hear(&filter.name, result, policy.as_ref());
                let what = FilterChanged {
                    point,
                    filter: filter.name.clone(),
                    tool_call_id: tool_call_id.map(str::to_owned),
                    ops: shown(ctx, ops),
                    duration_ms: Some(ctx.since(asked_at)),
                    answered: verdict.answer.is_some(),
                    policy,
                };
                changed.push(event(FILTER_CHANGED, &what));
                if verdict.is_final() {
                    break;
                }
            }
            Err(fault) => match filter.on_fault {
                OnFault::Open => {
                    let message =
                        format!("filter `{}` failed and was passed over: {}", filter.name, fault.message);
                    ctx.frames.notice(FILTER_FAILED, &message).await;
                }
                OnFault::Closed => {
                    let message = format!("filter `{}` failed: {}", filter.name, fault.message);
                    return Err(Fault { message, ..fault });
                }
            },
        }
    }
    Ok((value, verdict))
}

/// Operations as the log holds them: a text that is larger than a result may be is cut like one, and of more than a
/// filter may change at once the last ones stay.
fn shown(ctx: &Ctx<'_>, ops: Vec<FilterOp>) -> Vec<FilterOp> {
    let limits = &ctx.tools.limits;
    let mut bytes_left = limits.filter_ops_bytes_max;
    let mut shown = VecDeque::new();
    for op in ops.into_iter().rev() {
        let op = match op {
            FilterOp::Replace { at, value: Value::String(text) } => {
                let text = head_and_tail(&text, limits.tool_result_bytes_max).into_owned();
                FilterOp::Replace { at, value: Value::String(text) }
            }
            op => op,
        };
        let Some(left) = bytes_left.checked_sub(raw(&op).get().len()) else { break };
        bytes_left = left;
        shown.push_front(op);
    }
    shown.into()
}

/// What one filter makes of `value`, and what it said; `None` = unchanged.
async fn ask(
    ctx: &Ctx<'_>,
    filter: &FilterSpec,
    value: &Subject,
) -> Result<Option<(Subject, ApplyReply)>, Fault> {
    let shown = match filter.reads {
        Reads::Meta => None,
        Reads::LastMessage => value.last(),
        Reads::Tools => Some(tool_names(ctx, filter.point, value)),
        Reads::All => Some(value.whole()),
    };
    let about = Some(ctx.about_now());
    let params = ApplyParams { point: filter.point, value: shown, n_items: value.n_items(), about };
    let reply = ctx.ports.apply_filter(&filter.name, params).await?;
    let decides = reply.result.is_some() || reply.policy.is_some();
    if decides && filter.point != Point::ToolCall {
        return Err(Fault::new(BROKEN, "it decides about a call where there is none"));
    }
    if reply.ops.is_empty() && !decides {
        return Ok(None);
    }
    match changed_by(ctx, filter.point, value, &reply.ops) {
        Ok(next) => Ok(Some((next, reply))),
        Err(fault) if decides && filter.on_fault == OnFault::Open => {
            let (name, what) = (&filter.name, fault.message);
            let message =
                format!("what filter `{name}` changes was passed over, not what it decided: {what}");
            ctx.frames.notice(FILTER_FAILED, &message).await;
            Ok(Some((value.clone(), ApplyReply { ops: Vec::new(), ..reply })))
        }
        Err(fault) => Err(fault),
    }
}

/// `value` after `ops`. Errors: `too_large`, and `broken` for one that does not fit.
fn changed_by(ctx: &Ctx<'_>, point: Point, value: &Subject, ops: &[FilterOp]) -> Result<Subject, Fault> {
    // A result comes whole to its filters and is cut behind them.
    let bytes_max = match point {
        Point::ToolResult => TOOL_RESULT_OPS_BYTES_MAX,
        _ => ctx.tools.limits.filter_ops_bytes_max,
    };
    if raw(&ops).get().len() > bytes_max {
        return Err(Fault::new(TOO_LARGE, format!("it changes more than {bytes_max} bytes at once")));
    }
    let next = match value {
        Subject::List(list) => change_list(point, list, ops).map(Subject::List),
        Subject::Object(object) => change_object(point, object, ops).map(Subject::Object),
    };
    next.map_err(|what| Fault::new(BROKEN, format!("it {what}")))
}

/// The names of the tools that the model sees, or, at `turn.tools`, would see by now.
fn tool_names(ctx: &Ctx<'_>, point: Point, value: &Subject) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let offered = ctx.offered.read().unwrap_or_else(PoisonError::into_inner);
    match (point, value, offered.as_ref()) {
        (Point::TurnTools, Subject::List(offers), _) => {
            let names: Result<Vec<Named>, _> =
                offers.iter().map(|offer| serde_json::from_str(offer.get())).collect();
            let names = names.expect("each offer was checked");
            raw(&names.into_iter().map(|Named { name }| name).collect::<Vec<_>>())
        }
        (_, _, Some(offered)) => raw(offered),
        (_, _, None) => {
            let names: Vec<_> = ctx.tools.specs().iter().map(|tool| tool.name.as_str()).collect();
            raw(&names)
        }
    }
}
