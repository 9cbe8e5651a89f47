//! The fake LLM judged over a real socket, by a client that shows every piece as it came.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Action, FakeLlm, Script};
use client::{Client, Response};

mod answers;
mod client;
mod faults;
mod lifecycle;
mod scripts;
mod strictness;

const SOON: Duration = Duration::from_secs(10);

/// A streamed request with one user message.
fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]})
}

/// The answer to one streamed request by a server with this one script.
fn stream(actions: Vec<Action>) -> Response {
    let fake = FakeLlm::start(Script::steps(vec![actions]));
    Client::connect(&fake).post(&ask("m", "hello"))
}

/// The deltas of an answer, without the one that opens it.
fn deltas(response: &Response) -> Vec<Value> {
    let chunks = response.chunks();
    let choices = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone());
    choices
        .filter(|delta| delta.as_object().is_some_and(|d| !d.is_empty()))
        .filter(|delta| delta["role"].is_null())
        .collect()
}

/// All text of an answer.
fn text(response: &Response) -> String {
    let deltas = deltas(response);
    let texts = deltas.iter().filter_map(|delta| delta["content"].as_str());
    texts.collect()
}
