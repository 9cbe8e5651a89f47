//! Reads the chunks of a Chat Completions stream, however a server strays from the reference. It must not know sockets.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat-streaming>, and what other servers were seen to send.

mod details;
mod kind;
mod plain;
mod thinking;
mod tool_calls;
mod usage;

use crate::trouble::{Trouble, error_object};
use details::Details;
use dispatch_sdk::contracts::provider::{FaultClass, Finish, StreamFrame, StreamReply, Usage};
use kind::Kind;
use plain::Plain;
use serde_json::Value;
use std::collections::HashSet;
use thinking::Thinking;
use tool_calls::ToolCalls;

pub(crate) use thinking::ThinkTags;

/// A frame takes no further delta that would make it longer than this, in bytes.
pub(crate) const JOINED_BYTES_MAX: usize = 16 * 1024;
const DONE: &str = "[DONE]";

/// What is known of the answer so far.
#[derive(Debug)]
pub(crate) struct Interpreter {
    calls: ToolCalls,
    thinking: Thinking,
    details: Details,
    finish: Option<Finish>,
    usage: Option<Usage>,
    model: String,
    has_output: bool,
    sends_reasoning_content: bool,
    done: bool,
}

impl Interpreter {
    /// Ids of calls that come without one are made of `id_seed`; `ids_taken` are those of the history.
    pub(crate) fn new(id_seed: String, ids_taken: HashSet<String>, think_tags: ThinkTags) -> Self {
        Self {
            calls: ToolCalls::new(id_seed, ids_taken),
            thinking: Thinking::new(think_tags),
            details: Details::default(),
            finish: None,
            usage: None,
            model: String::new(),
            has_output: false,
            sends_reasoning_content: false,
            done: false,
        }
    }

    /// Whether the model has said why it stopped; only its usage may still come.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether the server has said that nothing more comes.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether reasoning came in the field that some endpoints want it back in.
    pub(crate) fn sends_reasoning_content(&self) -> bool {
        self.sends_reasoning_content
    }

    /// Reads the data of one event; a delta that continues the last of `frames` is joined to it.
    pub(crate) fn event(&mut self, data: &str, frames: &mut Vec<StreamFrame>) -> Result<(), Trouble> {
        let data = data.trim();
        if data.is_empty() || self.done {
            return Ok(());
        }
        if data == DONE {
            self.done = true;
            return Ok(());
        }
        if let Some(plain) = plain::read(data) {
            self.plain(&plain, frames);
            return Ok(());
        }
        match serde_json::from_str::<Value>(data) {
            Ok(chunk) => self.chunk(&chunk, frames),
            // Servers that forget the blank line between events send several chunks as one.
            Err(_) if data.contains('\n') => data.lines().try_for_each(|line| self.event(line, frames)),
            Err(error) => {
                let why = format!("the stream holds an event that is no JSON ({error}): `{data}`");
                Err(Trouble::new(FaultClass::Garbled, why))
            }
        }
    }

    /// Reads what the body ended with: half an event is no error of its own, the answer is then cut short.
    pub(crate) fn last_event(&mut self, data: &str, frames: &mut Vec<StreamFrame>) -> Result<(), Trouble> {
        for line in data.lines().map(str::trim) {
            if line == DONE || serde_json::from_str::<Value>(line).is_ok() {
                self.event(line, frames)?;
            }
        }
        Ok(())
    }

    /// What was held back of the text, the tool calls and the reply, once nothing more comes; `cut` says why the body ended early, if it did.
    ///
    /// `[DONE]` after output counts as a stop, because some servers send no finish reason.
    pub(crate) fn end(mut self, cut: Option<&str>) -> Result<(Vec<StreamFrame>, StreamReply), Trouble> {
        let finish = match self.finish {
            Some(finish) => finish,
            None if self.done && (self.has_output || !self.calls.is_empty()) => Finish::Stop,
            None => {
                let why = match cut {
                    Some(why) => format!("the answer was cut before its finish reason: {why}"),
                    None => "the answer ended before its finish reason".to_owned(),
                };
                return Err(Trouble::new(FaultClass::Truncated, why));
            }
        };
        // Arguments that the bound on output cut must not run as if they were whole.
        let calls = match finish {
            Finish::Length | Finish::ContentFilter => self.calls.whole_ones()?,
            Finish::Stop | Finish::ToolCalls | Finish::Other => self.calls.all()?,
        };
        let finish = match finish {
            Finish::Stop | Finish::Other if !calls.is_empty() => Finish::ToolCalls,
            Finish::ToolCalls if calls.is_empty() => Finish::Stop,
            Finish::Stop | Finish::ToolCalls | Finish::Length | Finish::ContentFilter | Finish::Other => {
                finish
            }
        };
        let mut frames: Vec<StreamFrame> =
            self.thinking.end().map(|(kind, held)| kind.frame(held)).into_iter().collect();
        frames.extend(self.details.all().map(|opaque| StreamFrame::ReasoningOpaque { opaque }));
        frames.extend(calls);
        Ok((frames, StreamReply { finish, usage: self.usage, model: self.model }))
    }

    /// The same as [`Self::chunk`] for what floods are made of.
    fn plain(&mut self, plain: &Plain<'_>, frames: &mut Vec<StreamFrame>) {
        self.answered_by(&plain.model);
        self.sends_reasoning_content |= plain.is_reasoning_content;
        self.show(Kind::Reasoning, &plain.reasoning, frames);
        self.text(&plain.content, frames);
    }

    fn answered_by(&mut self, model: &str) {
        if !model.is_empty() && self.model != model {
            model.clone_into(&mut self.model);
        }
    }

    fn chunk(&mut self, chunk: &Value, frames: &mut Vec<StreamFrame>) -> Result<(), Trouble> {
        if let Some(error) = error_object(chunk) {
            return Err(Trouble::in_stream(error));
        }
        self.answered_by(chunk["model"].as_str().unwrap_or(""));
        self.count(chunk);
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        // One answer is asked for; a server that sends further ones is read as if it had not.
        for choice in choices.iter().filter(|choice| choice["index"].as_u64().unwrap_or(0) == 0) {
            self.choice(choice, frames)?;
        }
        Ok(())
    }

    fn choice(&mut self, choice: &Value, frames: &mut Vec<StreamFrame>) -> Result<(), Trouble> {
        self.count(choice);
        // A server that does not stream answers a whole `message`.
        let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        let reasoning = [&delta["reasoning_content"], &delta["reasoning"]];
        self.sends_reasoning_content |=
            delta["reasoning_content"].as_str().is_some_and(|text| !text.is_empty());
        // Some send both fields with the same text.
        if let Some(text) = reasoning.into_iter().find_map(|field| field.as_str().filter(|t| !t.is_empty())) {
            self.show(Kind::Reasoning, text, frames);
        }
        self.details.take(&delta["reasoning_details"])?;
        self.content(&delta["content"], frames);
        self.content(&delta["refusal"], frames);
        let calls = match &delta["tool_calls"] {
            Value::Array(entries) => entries.as_slice(),
            one @ Value::Object(_) => std::slice::from_ref(one),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => &[],
        };
        self.calls.take(calls)?;
        if delta["function_call"].is_object() {
            self.calls.take(&[serde_json::json!({ "index": 0, "function": delta["function_call"] })])?;
        }
        if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
            self.finish = Some(finish_of(reason)?);
        }
        Ok(())
    }

    /// `content` as a string, or as a list of parts: texts and, at some servers, lists of thoughts.
    fn content(&mut self, content: &Value, frames: &mut Vec<StreamFrame>) {
        match content {
            Value::String(text) => self.text(text, frames),
            Value::Array(parts) => {
                for part in parts {
                    self.show(Kind::Reasoning, &text_of(&part["thinking"]), frames);
                    self.text(&text_of(&part["text"]), frames);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }

    /// Text of the answer, which may hold reasoning between tags.
    fn text(&mut self, delta: &str, frames: &mut Vec<StreamFrame>) {
        self.has_output |= !delta.is_empty();
        self.thinking.push(delta, &mut |kind, text| join(kind, text, frames));
    }

    fn show(&mut self, kind: Kind, delta: &str, frames: &mut Vec<StreamFrame>) {
        self.has_output |= !delta.is_empty();
        join(kind, delta, frames);
    }

    fn count(&mut self, holder: &Value) {
        let found = [&holder["usage"], &holder["x_groq"]["usage"]].into_iter().find_map(usage::read);
        self.usage = found.or(self.usage);
    }
}

/// Shows a delta: as part of the last frame if it continues that.
fn join(kind: Kind, delta: &str, frames: &mut Vec<StreamFrame>) {
    if delta.is_empty() {
        return;
    }
    let last = match (frames.last_mut(), kind) {
        (Some(StreamFrame::TextDelta { text }), Kind::Text)
        | (Some(StreamFrame::ReasoningDelta { text }), Kind::Reasoning) => Some(text),
        _ => None,
    };
    match last.filter(|text| text.len() + delta.len() <= JOINED_BYTES_MAX) {
        Some(text) => text.push_str(delta),
        None => frames.push(kind.frame(delta.to_owned())),
    }
}

/// The text of a string, of a part, or of a list of parts.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| text_of(&part["text"])).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn finish_of(reason: &str) -> Result<Finish, Trouble> {
    Ok(match reason.to_ascii_lowercase().as_str() {
        "stop" | "end_turn" | "eos" | "eos_token" | "stop_sequence" | "completed" => Finish::Stop,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => Finish::ToolCalls,
        "length" | "max_tokens" | "max_output_tokens" | "model_length" => Finish::Length,
        "content_filter" | "content-filter" | "safety" | "recitation" => Finish::ContentFilter,
        "error" | "abort" | "aborted" | "network_error" => {
            return Err(given_up(FaultClass::ServerError, reason));
        }
        "insufficient_system_resource" => return Err(given_up(FaultClass::ProviderOverloaded, reason)),
        _ => Finish::Other,
    })
}

/// The endpoint did not finish, and says so where others say that the model did.
fn given_up(class: FaultClass, reason: &str) -> Trouble {
    Trouble::new(class, format!("the endpoint ended its answer with the finish reason `{reason}`"))
}

#[cfg(test)]
mod tests;
