//! Writes the system prompt: a template with the working directory, the date and the project's `AGENTS.md` files.
//! Instructions count only where a person trusts the directory they lie in.
//!
//! The same conversation, directory, files and trust give the same bytes, so that prefix caches of providers hold. It must
//! not know models or tools.
#![forbid(unsafe_code)]

mod agents;
mod template;

use agents::Agents;
use dispatch_sdk::contracts::prompt::{System, SystemParams, SystemReply};
use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

dispatch_sdk::export!(SystemPrompt, settings);

struct SystemPrompt {
    template: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Replaces the default prompt; `{cwd}`, `{date}` and `{agents}` are filled in.
    template: Option<String>,
}

impl Extension for SystemPrompt {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let settings: Settings = config.parse()?;
        Ok(Self { template: settings.template.unwrap_or_else(|| template::DEFAULT.to_owned()) })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(System, Self::system);
    }
}

impl SystemPrompt {
    async fn system(self: Arc<Self>, call: Call, params: SystemParams) -> Result<SystemReply, Fault> {
        let date = date(params.started_at)?;
        let agents = if self.template.contains("{agents}") {
            agents::read(&call.host(), &params.cwd).await?
        } else {
            Agents::default()
        };
        let text = template::fill(&self.template, &params.cwd, &date, &agents.text);
        Ok(SystemReply { text, untrusted: agents.untrusted })
    }
}

/// `2026-02-28`, in UTC wherever the host is.
fn date(unix_ms: u64) -> Result<String, Fault> {
    i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map(|at| at.strftime("%Y-%m-%d").to_string())
        .ok_or_else(|| Fault::new(INVALID, format!("`started_at` {unix_ms} is no time in unix milliseconds")))
}

#[cfg(test)]
mod tests;
