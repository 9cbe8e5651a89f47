//! `turns.v1/start`: the input is made durable, then the turn runs without its client.

use crate::events::event;
use crate::opening::{self, Opening};
use crate::orchestrator::Orchestrator;
use crate::provider_choice::Providers;
use crate::turn_table::Turn;
use crate::{engine_choice, request, showing};
use dispatch_sdk::contracts::conversations::{
    BeginParams, Conversation, Get, GetParams, Owner, TITLE_CHARS_MAX,
};
use dispatch_sdk::contracts::engine::is_native;
use dispatch_sdk::contracts::event::{TURN_STARTED, TurnStarted};
use dispatch_sdk::contracts::fault::IO;
use dispatch_sdk::contracts::turn::HISTORY_BYTES_MAX;
use dispatch_sdk::contracts::turns::{StartParams, StartReply};
use dispatch_sdk::contracts::{Empty, kernel};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;
use tokio::sync::oneshot;

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
        let (input, parts) = (params.input.clone(), std::mem::take(&mut params.parts));
        let mut opening = self.opening(&call, params, before.as_ref(), &providers)?;
        // A start that is refused above keeps no pictures.
        opening.says(&input, showing::kept(&call, parts).await?);
        // A task: a call that is cut off in the middle must not leave a turn open that nobody looks after.
        let (ack, acked) = oneshot::channel();
        self.host.runtime()?.spawn(Arc::clone(&self).open_and_run(opening, ack));
        opening::acked(&call, &self.host, acked).await
    }

    fn opening(
        &self,
        call: &Call,
        params: StartParams,
        before: Option<&Conversation>,
        providers: &kernel::ProvidersReply,
    ) -> Result<Opening, Fault> {
        let ran = before.filter(|c| c.seq_last > 0 || !c.engine.is_empty()).map(|c| c.engine.as_str());
        let default_engine = &self.settings.default_engine;
        let engine =
            engine_choice::choose(&providers.engines, params.engine.as_deref(), ran, default_engine)?;
        // What another engine ran with says nothing to this one.
        let native = engine.is_empty();
        let before_here = before.filter(|c| c.engine == engine || native && is_native(&c.engine));
        let last = before_here.map(|c| c.provider.as_str()).filter(|name| !name.is_empty());
        let default = self.settings.default_provider.as_str();
        let provider = match native {
            true => Providers::of(providers, default).choose(params.provider.as_deref(), last)?,
            // An engine knows its providers itself.
            false => params.provider.clone().or(last.map(str::to_owned)).unwrap_or_default(),
        };
        let last_model = before_here.filter(|c| c.provider == provider).map(|c| c.model.clone());
        let named = params.provider.is_some();
        let is_default = native && if default.is_empty() { !named } else { provider == default };
        let default_model = is_default.then(|| self.settings.default_model.clone());
        let model = params.model.or(last_model).or(default_model).unwrap_or_default();
        let last_cwd = before.map(|c| c.cwd.clone()).filter(|cwd| !cwd.is_empty());
        let cwd = params.cwd.or(last_cwd).map_or_else(host_cwd, Ok)?;

        let conversation_id = params.conversation_id.unwrap_or_else(|| self.host.new_id());
        let turn_id = self.host.new_id();
        let meta = call.meta();
        let turn = Turn::new(conversation_id.clone(), turn_id.clone(), self.host.now_ms());
        let turn = turn.asked_by(meta.clone());
        let started = TurnStarted {
            provider: provider.clone(),
            model: model.clone(),
            cwd: cwd.clone(),
            actor: meta.actor.clone(),
            engine: engine.clone(),
        };
        let begin = BeginParams {
            conversation_id,
            create: before.is_none(),
            turn_id,
            host_id: providers.host_id.clone(),
            cwd,
            provider,
            model,
            title: params.input.trim_start().chars().take(TITLE_CHARS_MAX).collect(),
            events: vec![event(TURN_STARTED, &started)],
            messages: Vec::new(),
            engine,
            actor: meta.actor,
            owner: owner(meta.tenant.as_ref(), meta.user.as_ref()),
            tenant: meta.tenant.unwrap_or_default(),
            user: meta.user.unwrap_or_default(),
            device: meta.device.unwrap_or_default(),
            computer: meta.computer.unwrap_or_default(),
            attempt: 1,
            // What no request can send is refused here, and not acknowledged and failed then. An engine is sent the
            // input alone.
            history_bytes_max: if native { HISTORY_BYTES_MAX as u64 } else { 0 },
        };
        Ok(Opening { begin, place: self.turns.enter(turn)? })
    }
}

/// Whose a new conversation is: of whom its first turn is for.
fn owner(tenant: Option<&String>, user: Option<&String>) -> Option<Owner> {
    let owner = Owner { tenant: tenant.cloned(), user: user.cloned() };
    (owner != Owner::default()).then_some(owner)
}

fn host_cwd() -> Result<String, Fault> {
    let cwd = std::env::current_dir().map_err(|e| {
        Fault::new(IO, format!("cannot read the host's working directory: {e}; name a `cwd`"))
    })?;
    cwd.into_os_string().into_string().map_err(|cwd| {
        Fault::new(IO, format!("the host's working directory {cwd:?} is not UTF-8; name a `cwd`"))
    })
}
