//! `turns.v1/start`: the input is made durable, then the turn runs without its client.

use crate::provider_choice::Providers;
use crate::running::{Outcome, RunPlan};
use crate::turn_table::{Place, Turn};
use crate::{Orchestrator, opening, request, showing};
use dispatch_sdk::contracts::conversations::{BeginParams, Conversation, Get, GetParams, OpenTurn};
use dispatch_sdk::contracts::event::{EventBody, INPUT, TURN_STARTED, TurnStarted};
use dispatch_sdk::contracts::fault::IO;
use dispatch_sdk::contracts::message::{Message, Part};
use dispatch_sdk::contracts::turns::{StartParams, StartReply};
use dispatch_sdk::contracts::{Empty, kernel};
use dispatch_sdk::{Call, Fault, Host};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A turn that is about to be opened.
pub(crate) struct Opening {
    pub(crate) begin: BeginParams,
    pub(crate) place: Place,
}

impl Orchestrator {
    pub(crate) async fn start_turn(
        self: Arc<Self>,
        call: Call,
        mut params: StartParams,
    ) -> Result<StartReply, Fault> {
        request::check(&params)?;
        let before = match &params.conversation_id {
            Some(id) => Some(call.host().call(Get, &GetParams { conversation_id: id.clone() }).await?),
            None => None,
        };
        let providers = call.host().call(kernel::Providers, &Empty {}).await?;
        let shown = showing::kept(&call, std::mem::take(&mut params.parts)).await?;
        let opening = self.opening(&call, params, shown, before.as_ref(), &providers)?;
        // A task: a call that is cut off in the middle must not leave a turn open that nobody looks after.
        let (ack, acked) = oneshot::channel();
        self.host.runtime()?.spawn(Arc::clone(&self).open_and_run(opening, ack));
        opening::acked(&call, &self.host, acked).await
    }

    fn opening(
        &self,
        call: &Call,
        params: StartParams,
        shown: Vec<Part>,
        before: Option<&Conversation>,
        providers: &kernel::ProvidersReply,
    ) -> Result<Opening, Fault> {
        let last = before.map(|c| c.provider.as_str()).filter(|name| !name.is_empty());
        let default = self.settings.default_provider.as_str();
        let provider = Providers::of(providers, default).choose(params.provider.as_deref(), last)?;
        let last_model = before.filter(|c| c.provider == provider).map(|c| c.model.clone());
        let is_default = if default.is_empty() { params.provider.is_none() } else { provider == default };
        let default_model = is_default.then(|| self.settings.default_model.clone());
        let model = params.model.or(last_model).or(default_model).unwrap_or_default();
        let last_cwd = before.map(|c| c.cwd.clone()).filter(|cwd| !cwd.is_empty());
        let cwd = params.cwd.or(last_cwd).map_or_else(host_cwd, Ok)?;

        let conversation_id = params.conversation_id.unwrap_or_else(|| self.host.new_id());
        let turn_id = self.host.new_id();
        let meta = call.meta();
        let actor = meta.actor.clone();
        let turn = Turn::new(conversation_id.clone(), turn_id.clone(), self.host.now_ms()).asked_by(meta);
        let mut message = Message::user(params.input.as_str());
        message.parts.extend(shown);
        let started = TurnStarted {
            provider: provider.clone(),
            model: model.clone(),
            cwd: cwd.clone(),
            actor: actor.clone(),
        };
        let input = serde_json::json!({ "parts": message.parts });
        let begin = BeginParams {
            conversation_id,
            create: before.is_none(),
            turn_id,
            host_id: providers.host_id.clone(),
            cwd,
            provider,
            model,
            title: request::title_of(&params.input),
            events: vec![event(TURN_STARTED, &started), event(INPUT, &input)],
            messages: vec![raw(&message)],
            actor,
            ..BeginParams::default()
        };
        Ok(Opening { begin, place: self.turns.enter(turn)? })
    }

    /// Runs an opened turn as a task of this instance's runtime, in which the caller must be.
    pub(crate) fn run_in_background(self: &Arc<Self>, host: Host, place: Place, plan: RunPlan) {
        tokio::spawn(crate::running::run_to_its_end(Arc::clone(self), host, place, plan));
    }

    /// Writes the end of an opened turn that nothing ran of; the same holds.
    pub(crate) fn end_in_background(
        self: &Arc<Self>,
        host: Host,
        place: Place,
        plan: RunPlan,
        outcome: Outcome,
    ) {
        tokio::spawn(crate::running::end(Arc::clone(self), host, place, plan, outcome));
    }

    /// Whether an open turn still has its task. In doubt it has.
    pub(crate) async fn runs_somewhere(&self, host: &Host, own_host_id: &str, open: &OpenTurn) -> bool {
        if open.host_id == own_host_id {
            // Ours without a task: its end could not be written when it came, for instance on a full disk.
            return self.turns.get(&open.turn_id).is_some() || self.turns.is_closed();
        }
        self.host_lives(host, &open.host_id).await
    }
}

fn host_cwd() -> Result<String, Fault> {
    let cwd = std::env::current_dir().map_err(|e| {
        Fault::new(IO, format!("cannot read the host's working directory: {e}; name a `cwd`"))
    })?;
    cwd.into_os_string().into_string().map_err(|cwd| {
        Fault::new(IO, format!("the host's working directory {cwd:?} is not UTF-8; name a `cwd`"))
    })
}

/// An event of the type `kind`.
pub(crate) fn event(kind: &str, data: &impl Serialize) -> EventBody {
    EventBody { kind: kind.to_owned(), data: raw(data) }
}

fn raw(data: &impl Serialize) -> Box<RawValue> {
    to_raw_value(data).expect("contract types have string keys and no failing serialiser")
}
