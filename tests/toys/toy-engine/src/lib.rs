//! A toy engine: it says again what it hears, and does as it is told. For tests of engines.
//!
//! `hang` goes on until it is stopped, with a tool call open; `ask` asks whether it may run a program; `remember` says how
//! long the conversation is; `die` ends without a word. It counts its turns in its state. It must not know the kernel.
#![forbid(unsafe_code)]

use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::engine::EngineSpec;
use dispatch_sdk::contracts::engine::{Ask, Commit, History, Run, Steering};
use dispatch_sdk::contracts::event::{
    Delta, EventBody, STEERING, STEP_COMPLETED, StepCompleted, TEXT_DELTA, TOOL_CALL, TOOL_RESULT,
    TURN_ENDED, ToolCalled, ToolResulted, TurnEnded, TurnStatus, USAGE,
};
use dispatch_sdk::contracts::message::{Message, Part, ToolStatus};
use dispatch_sdk::contracts::provider::{Finish, Usage};
use dispatch_sdk::contracts::tool::Effect;
use dispatch_sdk::contracts::turn::{AskParams, AskReply, CommitParams, HistoryParams, RunParams};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs, fault};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;

dispatch_sdk::export!(ToyEngine);

const USAGE_OF_A_STEP: Usage =
    Usage { input_tokens: 3, output_tokens: 5, cache_read_tokens: None, cache_write_tokens: None };

struct ToyEngine;

impl Extension for ToyEngine {
    fn open(_host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, |_, call, params| async move { Turn::new(call, params).run().await });
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let toy = EngineSpec { name: "toy".to_owned(), ready: true, reason: String::new() };
        Ok(Contributions { engines: vec![toy], ..Contributions::default() })
    }
}

/// One turn under way.
struct Turn {
    call: Call,
    params: RunParams,
    n_frames: u64,
    n_commits: u64,
    n_steps: u32,
    usage: Usage,
    /// Turns of this conversation that were run before.
    n_before: u64,
}

impl Turn {
    fn new(call: Call, params: RunParams) -> Self {
        let left: Option<Value> =
            params.engine_state.as_ref().and_then(|left| serde_json::from_str(left.get()).ok());
        let n_before = left.and_then(|left| left["turns"].as_u64()).unwrap_or(0);
        Self { call, params, n_frames: 0, n_commits: 0, n_steps: 0, usage: Usage::default(), n_before }
    }

    async fn run(mut self) -> Result<TurnEnded, Fault> {
        let said: Vec<String> = self.params.messages.iter().map(|message| text_of(message)).collect();
        let said = said.join("\n");
        let answer = match said.as_str() {
            "die" => return Err(Fault::new(fault::UNAVAILABLE, "the toy died, as asked")),
            "hang" => return self.hang().await,
            "ask" => self.ask().await?,
            "remember" => {
                let asked = HistoryParams { turn_id: self.params.turn_id.clone() };
                let history = self.call.host().call(History, &asked).await?;
                format!("{} messages", history.messages.len())
            }
            said => format!("toy turn {}: {said}", self.n_before + 1),
        };
        let events = self.say(&answer).await?;
        self.commit(vec![assistant(&answer)], events, None).await?;
        while let Some((events, messages, answer)) = self.steered().await? {
            self.commit(messages, events, None).await?;
            let events = self.say(&answer).await?;
            self.commit(vec![assistant(&answer)], events, None).await?;
        }
        self.end(TurnStatus::Completed, "stop", Vec::new()).await
    }

    /// One step's text as frames, and the events that complete it.
    async fn say(&mut self, answer: &str) -> Result<Vec<EventBody>, Fault> {
        let step_id = self.step_id();
        for word in answer.split_inclusive(' ') {
            let delta = Delta { step_id: step_id.clone(), text: word.to_owned() };
            self.call.emit(&event(TEXT_DELTA, &delta)).await?;
            self.n_frames += u64::from(self.call.streamed());
        }
        self.n_steps += 1;
        self.usage.input_tokens += USAGE_OF_A_STEP.input_tokens;
        self.usage.output_tokens += USAGE_OF_A_STEP.output_tokens;
        let completed = StepCompleted {
            step_id: step_id.clone(),
            finish: Some(Finish::Stop),
            first_ms: Some(0),
            stream_ms: 0,
            step_ms: 0,
        };
        let usage = json!({ "step_id": step_id, "usage": USAGE_OF_A_STEP });
        Ok(vec![event(USAGE, &usage), event(STEP_COMPLETED, &completed)])
    }

    /// What was said meanwhile: its event, its messages, and the answer.
    async fn steered(&mut self) -> Result<Option<(Vec<EventBody>, Vec<Box<RawValue>>, String)>, Fault> {
        let said = self.call.host().call(Steering, &Empty {}).await?;
        if said.messages.is_empty() {
            return Ok(None);
        }
        let answer = said.messages.iter().map(|message| text_of(message)).collect::<Vec<_>>().join(" ");
        Ok(Some((vec![event(STEERING, &said)], said.messages, format!("also {answer}"))))
    }

    async fn ask(&mut self) -> Result<String, Fault> {
        let asked = AskParams {
            conversation_id: self.params.conversation_id.clone(),
            turn_id: self.params.turn_id.clone(),
            tool_call_id: "toy_1".to_owned(),
            tool: "program".to_owned(),
            effect: Effect::Exec,
            args: json!({}),
            asked_by: String::new(),
        };
        Ok(match self.call.host().call(Ask, &asked).await? {
            AskReply::Allow { .. } => "allowed".to_owned(),
            AskReply::Deny { reason, .. } => format!("denied: {reason}"),
            AskReply::Unknown => "denied".to_owned(),
        })
    }

    /// Until it is stopped, with a call under way.
    async fn hang(mut self) -> Result<TurnEnded, Fault> {
        let step_id = self.step_id();
        let called = ToolCalled {
            step_id: step_id.clone(),
            tool_call_id: "toy_1".to_owned(),
            name: "program".to_owned(),
            args: json!({}),
            effect: Some(Effect::Exec),
        };
        self.commit(Vec::new(), vec![event(TOOL_CALL, &called)], Some(self.n_before + 1)).await?;
        self.call.cancelled().await;
        let resulted = ToolResulted {
            step_id,
            tool_call_id: "toy_1".to_owned(),
            name: "program".to_owned(),
            status: ToolStatus::Cancelled,
            content: "it was stopped".to_owned(),
            duration_ms: 0,
            detail: Value::Null,
            denied_by: None,
            answered_by: String::new(),
            parts: Vec::new(),
        };
        self.end(TurnStatus::Cancelled, "stopped", vec![event(TOOL_RESULT, &resulted)]).await
    }

    async fn end(
        &mut self,
        status: TurnStatus,
        reason: &str,
        mut events: Vec<EventBody>,
    ) -> Result<TurnEnded, Fault> {
        let ended = TurnEnded {
            status,
            reason: reason.to_owned(),
            usage: self.usage,
            context_tokens: USAGE_OF_A_STEP.input_tokens + USAGE_OF_A_STEP.output_tokens,
            duration_ms: 0,
        };
        events.push(event(TURN_ENDED, &ended));
        self.commit(Vec::new(), events, Some(self.n_before + 1)).await?;
        Ok(ended)
    }

    /// Commits; `turns` goes into the state.
    async fn commit(
        &mut self,
        messages: Vec<Box<RawValue>>,
        events: Vec<EventBody>,
        turns: Option<u64>,
    ) -> Result<(), Fault> {
        let commit = CommitParams {
            turn_id: self.params.turn_id.clone(),
            commit_idx: Some(self.n_commits),
            frames_before: self.n_frames,
            messages,
            events,
            engine_state: turns.map(|turns| raw(&json!({ "turns": turns }))),
            timings: None,
        };
        self.call.host().call(Commit, &commit).await?;
        self.n_commits += 1;
        Ok(())
    }

    fn step_id(&self) -> String {
        format!("{}#{}", self.params.turn_id, self.n_steps)
    }
}

fn event(kind: &str, data: &impl Serialize) -> EventBody {
    EventBody { kind: kind.to_owned(), data: raw(data) }
}

fn assistant(text: &str) -> Box<RawValue> {
    raw(&json!({ "role": "assistant", "parts": [{ "type": "text", "text": text }] }))
}

fn raw(data: &impl Serialize) -> Box<RawValue> {
    to_raw_value(data).expect("contract types have string keys and no failing serialiser")
}

/// The visible text of a message.
fn text_of(message: &RawValue) -> String {
    let Ok(message) = serde_json::from_str::<Message>(message.get()) else { return String::new() };
    let text = |part| match part {
        Part::Text { text } => Some(text),
        _ => None,
    };
    message.parts.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests;
