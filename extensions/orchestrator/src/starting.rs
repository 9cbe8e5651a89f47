//! `turns.v1/start`: the input is made durable, then the turn runs without its client.

use crate::provider_choice::Providers;
use crate::running::RunPlan;
use crate::turn_table::{Place, Turn};
use crate::{Orchestrator, request};
use dispatch_sdk::contracts::conversations::{
    Begin, BeginParams, BeginReply, Conversation, Get, GetParams, OpenTurn, Seal, SealParams, TURN_IN_FLIGHT,
};
use dispatch_sdk::contracts::event::{EventBody, INPUT, TURN_STARTED, TurnStarted};
use dispatch_sdk::contracts::fault::{IO, PANICKED};
use dispatch_sdk::contracts::kernel::{HostAlive, HostAliveParams};
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::turns::{StartParams, StartReply};
use dispatch_sdk::contracts::{Empty, kernel};
use dispatch_sdk::{Call, Fault, Host, Meta};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A turn that is about to be opened.
struct Opening {
    begin: BeginParams,
    place: Place,
}

impl Orchestrator {
    pub(crate) async fn start_turn(
        self: Arc<Self>,
        call: Call,
        params: StartParams,
    ) -> Result<StartReply, Fault> {
        request::check(&params)?;
        let before = match &params.conversation_id {
            Some(id) => Some(call.host().call(Get, &GetParams { conversation_id: id.clone() }).await?),
            None => None,
        };
        let providers = call.host().call(kernel::Providers, &Empty {}).await?;
        let opening = self.opening(&call, params, before.as_ref(), &providers)?;
        // From here on the client may leave: what is opened is also run.
        let opened = self.host.runtime()?.spawn(async move { self.open_and_run(opening).await });
        opened.await.map_err(|e| Fault::new(PANICKED, format!("starting the turn broke off: {e}")))?
    }

    fn opening(
        &self,
        call: &Call,
        params: StartParams,
        before: Option<&Conversation>,
        providers: &kernel::ProvidersReply,
    ) -> Result<Opening, Fault> {
        let last = before.map(|c| c.provider.as_str()).filter(|name| !name.is_empty());
        let provider = Providers::of(providers).choose(params.provider.as_deref(), last)?;
        let last_model = before.filter(|c| c.provider == provider).map(|c| c.model.clone());
        let model = params.model.or(last_model).unwrap_or_default();
        let last_cwd = before.map(|c| c.cwd.clone()).filter(|cwd| !cwd.is_empty());
        let cwd = params.cwd.or(last_cwd).map_or_else(host_cwd, Ok)?;

        let conversation_id = params.conversation_id.unwrap_or_else(|| self.host.new_id());
        let turn_id = self.host.new_id();
        let meta = Meta {
            conversation_id: Some(conversation_id.clone()),
            turn_id: Some(turn_id.clone()),
            ..call.meta()
        };
        let turn = Turn::new(meta, conversation_id.clone(), turn_id.clone(), self.host.now_ms());
        let message = Message::user(params.input.as_str());
        let started = TurnStarted { provider: provider.clone(), model: model.clone(), cwd: cwd.clone() };
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
            ..BeginParams::default()
        };
        Ok(Opening { begin, place: self.turns.enter(turn)? })
    }

    async fn open_and_run(self: Arc<Self>, opening: Opening) -> Result<StartReply, Fault> {
        let Opening { begin, place } = opening;
        let host = self.host.with_meta(&place.turn.meta);
        let opening = self.gates.open().await;
        let begun = self.begin(&host, &begin).await?;
        drop(opening);
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let reply = StartReply {
            conversation_id: begin.conversation_id,
            turn_id: begin.turn_id,
            cursor: begun.cursor,
            durable: begun.durable,
        };
        let plan = RunPlan {
            provider: begin.provider,
            model: begin.model,
            cwd: begin.cwd,
            conversation_made_at: begun.created_at,
        };
        self.run_in_background(host, place, plan);
        Ok(reply)
    }

    /// Runs an opened turn as a task of this instance's runtime, in which the caller must be.
    pub(crate) fn run_in_background(&self, host: Host, place: Place, plan: RunPlan) {
        let (gates, counts) = (Arc::clone(&self.gates), Arc::clone(&self.counts));
        tokio::spawn(crate::running::run_to_its_end(host, gates, counts, place, plan));
    }

    /// Opens the turn; a turn that nobody runs any more is sealed out of the way, once.
    async fn begin(&self, host: &Host, params: &BeginParams) -> Result<BeginReply, Fault> {
        let fault = match host.call(Begin, params).await {
            Err(fault) if fault.is(TURN_IN_FLIGHT) => fault,
            begun => return begun,
        };
        let Ok(open) = serde_json::from_value::<OpenTurn>(fault.detail.clone()) else { return Err(fault) };
        if self.runs_somewhere(host, &params.host_id, &open).await {
            return Err(fault);
        }
        tracing::info!(turn_id = open.turn_id, host_id = open.host_id, "sealing a turn that nobody runs");
        let seal = SealParams {
            conversation_id: params.conversation_id.clone(),
            turn_id: open.turn_id.clone(),
            ..SealParams::default()
        };
        host.call(Seal, &seal).await?;
        host.call(Begin, params).await
    }

    /// Whether an open turn still has its task. In doubt it has.
    pub(crate) async fn runs_somewhere(&self, host: &Host, own_host_id: &str, open: &OpenTurn) -> bool {
        if open.host_id == own_host_id {
            // Ours without a task: its end could not be written when it came, for instance on a full disk.
            return self.turns.get(&open.turn_id).is_some();
        }
        let asked = HostAliveParams { host_id: open.host_id.clone() };
        host.call(HostAlive, &asked).await.map_or(true, |reply| reply.alive)
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
