//! `turns.v1/models`: what each provider offers. One that does not answer says so and keeps nobody waiting for ever.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::fault::NOT_FOUND;
use dispatch_sdk::contracts::kernel::Providers;
use dispatch_sdk::contracts::provider::{Models, ProviderSpec};
use dispatch_sdk::contracts::turns::{ModelsParams, ModelsReply, ProviderModels};
use dispatch_sdk::{Call, Fault, Host};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How long one provider may take.
const PROVIDER_MS: u64 = 10_000;
/// Most characters of what a fault says.
const FAULT_CHARS_MAX: usize = 500;

impl Orchestrator {
    pub(crate) async fn models(
        self: Arc<Self>,
        call: Call,
        params: ModelsParams,
    ) -> Result<ModelsReply, Fault> {
        let known = call.host().call(Providers, &Empty {}).await?.providers;
        let wanted = |spec: &ProviderSpec| params.provider.as_ref().is_none_or(|name| *name == spec.name);
        let specs: Vec<ProviderSpec> = known.into_iter().filter(wanted).collect();
        if let (Some(name), true) = (&params.provider, specs.is_empty()) {
            return Err(Fault::new(NOT_FOUND, format!("there is no provider `{name:.80}` in this build")));
        }
        let mut asking = JoinSet::new();
        for (idx, spec) in specs.into_iter().enumerate() {
            let host = call.host().with_budget_ms(PROVIDER_MS);
            asking.spawn(async move { (idx, ask(&host, spec).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(idx, _)| *idx);
        Ok(ModelsReply { providers: answers.into_iter().map(|(_, answer)| answer).collect() })
    }
}

async fn ask(host: &Host, provider: ProviderSpec) -> ProviderModels {
    if !provider.ready {
        let fault = provider.reason.clone();
        return ProviderModels { provider, models: Vec::new(), fault };
    }
    match host.call_named(Models, &provider.name, &Empty {}).await {
        Ok(reply) => ProviderModels { provider, models: reply.models, fault: String::new() },
        Err(fault) => {
            let fault = fault.message.chars().take(FAULT_CHARS_MAX).collect();
            ProviderModels { provider, models: Vec::new(), fault }
        }
    }
}
