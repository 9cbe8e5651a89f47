//! Speaks the Chat Completions wire to any compatible endpoint. It must not know conversations, turns or tools.
#![forbid(unsafe_code)]

mod check;
mod chunks;
mod config;
mod endpoint;
mod ids;
mod images;
mod models;
mod proxies;
mod reaching;
mod request;
mod secrets;
mod sse;
mod stream;
mod trouble;
mod ways;

use config::Settings;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckReply, Reload, ReloadParams, ReloadReply};
use dispatch_sdk::contracts::kernel::{Update, UpdateParams};
use dispatch_sdk::contracts::provider::{Models, ModelsReply, Stream, StreamParams, StreamReply};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs, fault};
use endpoint::Endpoint;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use stream::{Stop, stream};

dispatch_sdk::export!(OpenAiCompat, settings);

/// One endpoint.
struct OpenAiCompat {
    live: RwLock<Arc<Live>>,
}

/// Keys that say which endpoint it is, and how it is reached.
const ADDRESS_KEYS: [&str; 2] = ["base_url", "proxy"];

/// The endpoint as it is configured now; what runs goes on with the one it began with.
struct Live {
    config: Config,
    settings: Settings,
    endpoint: Endpoint,
}

impl Live {
    fn open(config: Config) -> Result<Self, Fault> {
        let settings = Settings::read(&config)?;
        Ok(Self { config, settings, endpoint: Endpoint::default() })
    }

    fn contributes(&self) -> Contributions {
        if self.settings.sends_secrets_in_clear_text() {
            tracing::warn!(
                provider = self.settings.provider,
                "secrets go over plain http to another machine"
            );
        }
        Contributions { providers: vec![self.settings.spec()], ..Contributions::default() }
    }
}

impl Extension for OpenAiCompat {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { live: RwLock::new(Arc::new(Live::open(config)?)) })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Stream, Self::stream);
        verbs.on(Models, Self::models);
        verbs.on(Check, Self::check);
        verbs.on(Reload, Self::reload);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(self.live().contributes())
    }
}

impl OpenAiCompat {
    async fn stream(self: Arc<Self>, call: Call, params: StreamParams) -> Result<StreamReply, Fault> {
        let live = self.live();
        let result = tokio::select! {
            biased;
            // Dropping the other branch closes the socket; what was shown is with the caller already.
            () = call.cancelled() => {
                return Err(Fault::new(fault::CANCELLED, "the stream was cancelled by its caller"));
            }
            result = stream(&live.settings, &live.endpoint, &call, params) => result,
        };
        result.map_err(|stop| match stop {
            Stop::Trouble(trouble) => trouble.into_fault(&live.settings.secrets),
            Stop::Caller(fault) => fault,
        })
    }

    async fn models(self: Arc<Self>, call: Call, _params: Empty) -> Result<ModelsReply, Fault> {
        let live = self.live();
        let reply = models::models(&live.settings, &live.endpoint, call.host().now_ms()).await;
        reply.map_err(|trouble| trouble.into_fault(&live.settings.secrets))
    }

    async fn check(self: Arc<Self>, _call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        Ok(check::check(&self.live().settings).await)
    }

    /// Takes over every key; requests that run end as they began.
    async fn reload(self: Arc<Self>, call: Call, params: ReloadParams) -> Result<ReloadReply, Fault> {
        let before = self.live();
        let mut live = Live::open(before.config.with(params.config))?;
        let applied = changed_keys(&before.config.parse()?, &live.config.parse()?);
        if !applied.iter().any(|key| ADDRESS_KEYS.contains(&key.as_str())) {
            live.endpoint = before.endpoint.carried_over();
        }
        // The kernel is told of the default model, and whether the provider is ready.
        call.host().call(Update, &UpdateParams { contributes: live.contributes() }).await?;
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        Ok(ReloadReply { applied, needs_restart: Vec::new() })
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The names of keys whose values differ, in order.
fn changed_keys(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

#[cfg(test)]
mod tests;
