//! Speaks the Chat Completions wire to any compatible endpoint. It must not know conversations, turns or tools.
#![forbid(unsafe_code)]

mod check;
mod chunks;
mod config;
mod endpoint;
mod models;
mod reaching;
mod request;
mod secrets;
mod sse;
mod stream;
mod trouble;

use config::Settings;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckReply};
use dispatch_sdk::contracts::provider::{Models, ModelsReply, Stream, StreamParams, StreamReply};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs, fault};
use endpoint::Endpoint;
use std::sync::Arc;
use stream::{Stop, stream};

dispatch_sdk::export!(OpenAiCompat);

/// One endpoint.
struct OpenAiCompat {
    settings: Settings,
    endpoint: Endpoint,
}

impl Extension for OpenAiCompat {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { settings: Settings::read(&config)?, endpoint: Endpoint::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Stream, Self::stream);
        verbs.on(Models, Self::models);
        verbs.on(Check, Self::check);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        if self.settings.sends_secrets_in_clear_text() {
            tracing::warn!(
                provider = self.settings.provider,
                "secrets go over plain http to another machine"
            );
        }
        Ok(Contributions { providers: vec![self.settings.spec()], ..Contributions::default() })
    }
}

impl OpenAiCompat {
    async fn stream(self: Arc<Self>, call: Call, params: StreamParams) -> Result<StreamReply, Fault> {
        let result = tokio::select! {
            biased;
            // Dropping the other branch closes the socket; what was shown is with the caller already.
            () = call.cancelled() => {
                return Err(Fault::new(fault::CANCELLED, "the stream was cancelled by its caller"));
            }
            result = stream(&self.settings, &self.endpoint, &call, params) => result,
        };
        result.map_err(|stop| match stop {
            Stop::Trouble(trouble) => trouble.into_fault(&self.settings.secrets),
            Stop::Caller(fault) => fault,
        })
    }

    async fn models(self: Arc<Self>, call: Call, _params: Empty) -> Result<ModelsReply, Fault> {
        let reply = models::models(&self.settings, &self.endpoint, call.host().now_ms()).await;
        reply.map_err(|trouble| trouble.into_fault(&self.settings.secrets))
    }

    async fn check(self: Arc<Self>, _call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        Ok(check::check(&self.settings).await)
    }
}

#[cfg(test)]
mod tests;
