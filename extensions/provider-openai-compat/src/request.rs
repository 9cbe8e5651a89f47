//! The body of a request out of `provider.v1/stream`'s parameters. It must not know how it is sent.
//!
//! `messages` comes last and each message depends only on itself and on what stands before it up to the next tool
//! results, so the body of a step is a prefix of the next step's and a cache at the endpoint keeps what it has. The next
//! turn begins anew where reasoning of the turn before it stood.

mod content;
mod messages;
mod style;

use crate::config::{OutputTokensField, SendReasoning, Settings};
use crate::images::Images;
use crate::trouble::Trouble;
use crate::ways::{Reasoning, Way, Written};
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::{FaultClass, StreamParams, ToolOffer};
use messages::{WireMessage, convert};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use style::{Sent, Style};

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) json: Vec<u8>,
    /// Ids of the tool calls in the history.
    pub(crate) ids_taken: HashSet<String>,
    pub(crate) written: Written,
}

#[derive(Serialize)]
struct Wire<'p> {
    model: &'p str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    // Strict servers refuse an empty list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    messages: Vec<WireMessage>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// Reads the history; `bad_request` names the message that cannot be read.
pub(crate) fn history(params: &StreamParams) -> Result<Vec<Message>, Trouble> {
    let mut history = Vec::with_capacity(params.messages.len());
    for (message_idx, raw) in params.messages.iter().enumerate() {
        let message: Message = serde_json::from_str(raw.get()).map_err(|error| {
            let why = format!("cannot read message {message_idx} of the history: {error}");
            Trouble::new(FaultClass::BadRequest, why)
        })?;
        history.push(message);
    }
    Ok(history)
}

/// Makes the body for `model` in this way.
pub(crate) fn body(
    settings: &Settings,
    model: &str,
    params: &StreamParams,
    (history, images): (&[Message], &Images),
    way: Way,
) -> Body {
    let reasoning = match (settings.send_reasoning, way.reasoning) {
        (SendReasoning::Never, _) | (SendReasoning::Auto, Reasoning::Unknown | Reasoning::Never) => {
            Sent::Nothing
        }
        (SendReasoning::Auto, Reasoning::OfTurn) => Sent::OfTurn,
        (SendReasoning::Always, _) | (SendReasoning::Auto, Reasoning::Always) => Sent::All,
    };
    let producer = format!("{}/{model}", settings.provider);
    let style = Style {
        producer: &producer,
        reasoning,
        details: settings.send_reasoning != SendReasoning::Never,
        nine_ids: way.nine_ids,
        images,
        shows_images: settings.images && !way.no_images,
    };
    let converted = convert(&params.system, history, style);
    let mut written = converted.written;
    if settings.send_reasoning != SendReasoning::Auto {
        // The build has decided: no other way is open.
        written = Written { has_reasoning: false, left_reasoning_out: false, ..written };
    }
    let bound = |field| params.output_tokens_max.filter(|_| settings.output_tokens_field == field);
    let wire = Wire {
        model,
        stream: true,
        stream_options: settings.send_usage_option.then_some(StreamOptions { include_usage: true }),
        max_tokens: bound(OutputTokensField::MaxTokens),
        max_completion_tokens: bound(OutputTokensField::MaxCompletionTokens),
        temperature: params.temperature,
        tools: params.tools.iter().map(tool).collect(),
        messages: converted.messages,
    };
    let json = serde_json::to_vec(&wire).expect("text, numbers and JSON values always encode");
    Body { json, ids_taken: converted.ids, written }
}

fn tool(offer: &ToolOffer) -> Value {
    let ToolOffer { name, description, input_schema } = offer;
    let mut parameters = input_schema.as_object().cloned().unwrap_or_else(Map::new);
    // Strict servers want what an empty schema only implies.
    parameters.entry("type").or_insert_with(|| json!("object"));
    parameters.entry("properties").or_insert_with(|| json!({}));
    json!({ "type": "function", "function": { "name": name, "description": description, "parameters": parameters } })
}

#[cfg(test)]
mod tests;
