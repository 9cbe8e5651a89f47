//! A turn as its caller sees it, over a provider that takes one message and no more.

use crate::Caller;
use dispatch_sdk::contracts::provider::{
    FaultClass, Finish, ProviderSpec, StreamFrame, StreamParams, StreamReply,
};
use dispatch_sdk::contracts::turn::{
    BoundaryParams, BoundaryReason, BoundaryReply, CommitParams, Run, RunParams, SteeringReply,
};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Call, Fault, Host, Item};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};

const PROVIDER: &str = "forgetful";

pub(crate) fn provider() -> ProviderSpec {
    ProviderSpec {
        name: PROVIDER.to_owned(),
        ready: true,
        reason: String::new(),
        default_model: String::new(),
        selectable: false,
        images: false,
    }
}

fn said(text: &str) -> Box<RawValue> {
    let message = json!({ "role": "user", "parts": [{ "type": "text", "text": text }] });
    to_raw_value(&message).expect("JSON")
}

/// Runs a turn with two messages; answers what was asked on the way, and how it ended.
pub(crate) async fn run(
    caller: &Caller,
    host: &Host,
    boundaries: Vec<BoundaryReason>,
) -> Result<Value, Fault> {
    let params = RunParams {
        conversation_id: "c".to_owned(),
        turn_id: "t".to_owned(),
        provider: PROVIDER.to_owned(),
        model: String::new(),
        system: String::new(),
        cwd: "/".to_owned(),
        messages: vec![said("long ago"), said("hi")],
        steps_max: 0,
        boundaries,
        computer: String::new(),
        engine: String::new(),
        engine_state: None,
    };
    let mut stream = host.stream(Run, &params);
    let mut shown = String::new();
    loop {
        match stream.next().await? {
            Item::Frame(frame) if frame.kind == "text_delta" => shown.push_str(frame.data.get()),
            Item::Frame(_) => {}
            Item::End(ended) => {
                let asked = std::mem::take(&mut *caller.asked.lock().unwrap_or_else(PoisonError::into_inner));
                return Ok(json!({
                    "asked": asked, "shown": !shown.is_empty(), "status": ended.status, "reason": ended.reason,
                }));
            }
        }
    }
}

impl Caller {
    fn note(&self, asked: Value) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }

    pub(crate) async fn stream(
        self: Arc<Self>,
        call: Call,
        params: StreamParams,
    ) -> Result<StreamReply, Fault> {
        self.note(json!({ "messages": params.messages.len() }));
        if params.messages.len() > 1 {
            return Err(Fault::new(FaultClass::ContextOverflow.code(), "one message is all it can think of"));
        }
        call.emit(&StreamFrame::TextDelta { text: "ok".to_owned() }).await?;
        Ok(StreamReply { finish: Finish::Stop, usage: None, model: String::new() })
    }

    pub(crate) async fn commit(self: Arc<Self>, _call: Call, params: CommitParams) -> Result<Empty, Fault> {
        self.note(json!({ "commit": params.events.iter().map(|event| &event.kind).collect::<Vec<_>>() }));
        Ok(Empty {})
    }

    pub(crate) async fn steering(self: Arc<Self>, _call: Call, _: Empty) -> Result<SteeringReply, Fault> {
        Ok(SteeringReply::default())
    }

    /// Forgets all but the last message, when it is too much.
    pub(crate) async fn boundary(
        self: Arc<Self>,
        _call: Call,
        params: BoundaryParams,
    ) -> Result<BoundaryReply, Fault> {
        self.note(json!({ "boundary": params.reason, "turn": params.turn_id, "step": params.step_id }));
        let shorter = params.reason == BoundaryReason::Overflow;
        Ok(BoundaryReply { messages: shorter.then(|| vec![said("hi")]) })
    }
}
