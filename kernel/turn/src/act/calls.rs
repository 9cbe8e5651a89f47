//! From what the model wrote to what may run: id, arguments, tool, schema, filters, policy.
//!
//! Whatever is wrong with a call becomes its result, which the model reads; it never fails the turn.

use crate::act::lenient;
use crate::act::schemas::Schemas;
use crate::bound::first_chars;
use crate::commit::draft::RawCall;
use crate::ctx::Ctx;
use crate::filter::filter_ops::CallFields;
use crate::filter::filters::{self, Subject};
use crate::limits::{CALL_ID_BYTES_MAX, MALFORMED_CHARS_MAX};
use crate::parts;
use dispatch_contracts::event::{DeniedBy, EventBody};
use dispatch_contracts::filter::Point;
use dispatch_contracts::message::{Part, ToolStatus};
use dispatch_contracts::provider::ToolOffer;
use dispatch_contracts::tool::{Decision, Effect, RunReply, ToolSpec};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: ToolStatus,
    pub(crate) content: String,
    pub(crate) duration_ms: u64,
    pub(crate) detail: Value,
    pub(crate) denied_by: Option<DeniedBy>,
    /// The filter that answered in the tool's place; empty = none.
    pub(crate) answered_by: String,
    /// Where there are any, what the model reads instead of `content`.
    pub(crate) parts: Vec<Part>,
}

impl Outcome {
    /// An outcome of a call that never ran.
    pub(crate) fn unrun(status: ToolStatus, content: impl Into<String>) -> Self {
        Self {
            status,
            content: content.into(),
            duration_ms: 0,
            detail: Value::Null,
            denied_by: None,
            answered_by: String::new(),
            parts: Vec::new(),
        }
    }

    /// What was answered, as far as a result may hold it.
    pub(crate) fn replied(RunReply { content, parts, is_error, detail }: RunReply) -> Self {
        let status = if is_error { ToolStatus::Error } else { ToolStatus::Ok };
        Self { detail, parts: parts::accepted(parts), ..Self::unrun(status, content) }
    }

    /// An outcome of a call that may not run.
    pub(crate) fn denied(denied_by: DeniedBy, content: impl Into<String>) -> Self {
        Self { denied_by: Some(denied_by), ..Self::unrun(ToolStatus::Denied, content) }
    }
}

/// What shall happen to a call.
#[derive(Debug)]
pub(crate) enum Fate<'a> {
    /// It runs, perhaps after a person was asked.
    Run { tool: &'a ToolSpec, args: Map<String, Value>, ask: bool },
    /// It has its result already.
    Answered(Outcome),
}

/// One call of a step.
#[derive(Debug)]
pub(crate) struct ToolCall<'a> {
    /// Unique in the turn.
    pub(crate) id: String,
    /// Name and arguments as the model wrote them, for the history.
    pub(crate) asked_name: String,
    pub(crate) asked_args: Value,
    /// Name and arguments as they are run, for whoever watches.
    pub(crate) name: String,
    pub(crate) args: Value,
    /// What the provider wants back with the call.
    pub(crate) opaque: Value,
    /// The filter that demands that a person is asked; empty = none does.
    pub(crate) asked_by: String,
    pub(crate) fate: Fate<'a>,
}

/// What the calls of one turn share.
pub(crate) struct Desk<'a> {
    ctx: &'a Ctx<'a>,
    schemas: Schemas,
    ids: HashSet<String>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>) -> Self {
        Self { ctx, schemas: Schemas::default(), ids: HashSet::new() }
    }

    /// Compiles the schemas anew: the tools are others.
    pub(crate) fn forget_schemas(&mut self) {
        self.schemas = Schemas::default();
    }

    /// Decides about one call. What filters change goes to `changed`.
    pub(crate) async fn plan(
        &mut self,
        raw: &RawCall,
        offers: &[ToolOffer],
        changed: &mut Vec<EventBody>,
    ) -> ToolCall<'a> {
        let id = self.unique_id(&raw.tool_call_id);
        let parsed = parse_args(raw);
        let asked_args = match &parsed {
            Ok(args) => Value::Object(args.clone()),
            Err(_) => json!({ "_malformed": first_chars(&raw.args_text, MALFORMED_CHARS_MAX) }),
        };
        let mut call = ToolCall {
            id,
            asked_name: raw.name.clone(),
            asked_args: asked_args.clone(),
            name: raw.name.clone(),
            args: asked_args,
            opaque: raw.opaque.clone(),
            asked_by: String::new(),
            fate: Fate::Answered(Outcome::unrun(ToolStatus::Error, "")),
        };
        let planned = match parsed {
            Ok(args) => self.decide(&mut call, args, offers, changed).await,
            Err(what) => Err(Outcome::unrun(ToolStatus::Error, what)),
        };
        call.fate = planned.unwrap_or_else(Fate::Answered);
        call
    }

    async fn decide(
        &mut self,
        call: &mut ToolCall<'a>,
        args: Map<String, Value>,
        offers: &[ToolOffer],
        changed: &mut Vec<EventBody>,
    ) -> Result<Fate<'a>, Outcome> {
        let meant =
            self.ctx.tools.spec(&call.name).and_then(|tool| lenient::meant(&args, &tool.input_schema));
        let mut args = meant.unwrap_or(args);
        call.args = Value::Object(args.clone());
        let mut tool = self.checked(&call.name, &call.args, offers).await?;
        if self.ctx.tools.filtered(Point::ToolCall) {
            let fields = CallFields { tool_call_id: call.id.clone(), name: call.name.clone(), args };
            let value = Subject::object(&fields);
            let judged = filters::judge(self.ctx, Point::ToolCall, Some(&call.id), value, changed).await;
            let (value, verdict) =
                judged.map_err(|fault| Outcome::unrun(ToolStatus::Error, fault.message))?;
            let fields: CallFields = value.parse_object();
            args = fields.args;
            let (name, as_run) = (fields.name, Value::Object(args.clone()));
            if name != call.name || as_run != call.args {
                call.name = name;
                call.args = as_run;
                tool = self.checked(&call.name, &call.args, offers).await?;
            }
            if let Some((_, reason)) = verdict.denied {
                let why = format!("`{}` was not run: {reason}", call.name);
                return Err(Outcome::denied(DeniedBy::Filter, why));
            }
            if let Some((filter, reply)) = verdict.answer {
                return Err(Outcome { answered_by: filter, ..Outcome::replied(reply) });
            }
            call.asked_by = verdict.asked_by.unwrap_or_default();
        }
        match self.ctx.tools.policy.decide(tool.effect) {
            Decision::Allow => Ok(Fate::Run { tool, args, ask: !call.asked_by.is_empty() }),
            Decision::Ask => Ok(Fate::Run { tool, args, ask: true }),
            Decision::Deny => Err(Outcome::denied(DeniedBy::Policy, denied_by_policy(tool))),
        }
    }

    /// The tool, if it is offered and takes `args`.
    async fn checked(
        &mut self,
        name: &str,
        args: &Value,
        offers: &[ToolOffer],
    ) -> Result<&'a ToolSpec, Outcome> {
        let offered = offers.iter().any(|offer| offer.name == name);
        let Some(tool) = self.ctx.tools.spec(name).filter(|_| offered) else {
            return Err(Outcome::unrun(ToolStatus::Error, unknown_tool(name, offers)));
        };
        let fits = self.schemas.check(self.ctx, tool, args).await;
        fits.map(|()| tool).map_err(|what| Outcome::unrun(ToolStatus::Error, what))
    }

    /// The model's id, unless it is empty, too long, or was used before in this turn.
    fn unique_id(&mut self, asked: &str) -> String {
        let base = if asked.is_empty() || asked.len() > CALL_ID_BYTES_MAX { "call" } else { asked };
        let mut id = base.to_owned();
        let mut n = 2;
        while !self.ids.insert(id.clone()) {
            id = format!("{base}_{n}");
            n += 1;
        }
        id
    }
}

/// The arguments as an object; an empty text is `{}`.
fn parse_args(raw: &RawCall) -> Result<Map<String, Value>, String> {
    let found = match raw.args_text.trim() {
        "" => return Ok(Map::new()),
        text => match serde_json::from_str(text) {
            Ok(Value::Object(args)) => return Ok(args),
            Ok(Value::Array(_)) => "an array".to_owned(),
            Ok(Value::String(_)) => "a string".to_owned(),
            Ok(Value::Number(_)) => "a number".to_owned(),
            Ok(Value::Bool(_)) => "a boolean".to_owned(),
            Ok(Value::Null) => "null".to_owned(),
            Err(source) => format!("text that is not JSON ({source})"),
        },
    };
    Err(format!("`{}` was not run: its arguments must be a JSON object, but are {found}", raw.name))
}

fn unknown_tool(name: &str, offers: &[ToolOffer]) -> String {
    let names: Vec<_> = offers.iter().map(|offer| format!("`{}`", offer.name)).collect();
    match names.as_slice() {
        [] => format!("there is no tool `{name}`; no tools are offered"),
        names => format!("there is no tool `{name}`; there are {}", names.join(", ")),
    }
}

fn denied_by_policy(tool: &ToolSpec) -> String {
    let doing = match tool.effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Exec => "run programs",
    };
    format!("`{}` was not run: the policy of this host denies tools that {doing}", tool.name)
}
