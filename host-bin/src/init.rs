//! `dispatch init`: an endpoint, a model and a key for a provider of the build, tried with one request and written to the
//! user's own configuration.
//!
//! It must not know any provider by name: it takes the one of the build that may hold a secret, and the three keys
//! `base_url`, `model` and `api_key` are what such an instance is configured by.

mod file;

use crate::argv::{InitOrder, Invocation};
use crate::boot;
use crate::compose::{Composed, compose, compose_to_boot};
use crate::config_file::{FILE, believe, read_file};
use crate::exit::Refusal;
use crate::output::out;
use crate::policy::{self, Unsaid};
use crate::stdin::Stdin;
use crate::terminal::{ask, ask_hidden};
use dispatch_compose::PlannedInstance;
use dispatch_contracts::ContributionKind;
use dispatch_contracts::command::Read;
use dispatch_contracts::kernel::{HOST_INSTANCE, InstanceState};
use dispatch_contracts::provider::{Stream, StreamParams};
use dispatch_kernel::Kernel;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Longest trial: a model on this machine may have to be loaded first.
const TRIAL_WITHIN: Duration = Duration::from_secs(120);
/// Enough for a word, and for what a model thinks before it.
const TRIAL_TOKENS_MAX: u64 = 256;

/// What is to be written: keys of one instance, and their values.
type Settings = Vec<(&'static str, Value)>;

/// Asks for what the command line does not say, tries it, and writes it down.
pub(crate) fn run(invocation: &Invocation, order: &InitOrder) -> Result<u8, Refusal> {
    let composed = compose(invocation, None)?;
    let instance = chosen(&composed, order.instance.as_deref())?;
    let settings = settings(invocation, order, instance)?;
    let id = instance.id.clone();
    let path = Path::new(&composed.dirs.config).join(FILE);
    believe(&path)?;
    let known = read_file(&path)?;
    // Before anything is tried: what cannot be written needs no trial.
    let text = file::merged(&path, known.as_ref(), &id, &settings)?;
    if order.tried {
        let said = boot::block_on(tried(with(invocation, &id, &settings)?, &id))?;
        out(&format!("`{id}` answers{said}\n"))?;
    }
    file::write(&path, &text)?;
    let keys: Vec<&str> = settings.iter().map(|(key, _)| *key).collect();
    out(&format!("wrote {} of `{id}` to {} (mode 0600)\n", keys.join(", "), path.display()))?;
    if settings.iter().any(|(key, value)| *key == "api_key" && value.is_string()) {
        out("the key stands in that file as it is; `--key-env NAME` keeps it in a variable instead\n")?;
    }
    out("now: dispatch run \"hello\"\n")
}

/// The instance that speaks to a model and may hold a key.
fn chosen<'a>(composed: &'a Composed, wanted: Option<&str>) -> Result<&'a PlannedInstance, Refusal> {
    let holds_a_secret =
        |instance: &&PlannedInstance| instance.grants.iter().any(|grant| grant.family() == "secret");
    let speaks =
        |instance: &&PlannedInstance| !instance.contributes.of(ContributionKind::Provider).is_empty();
    let all: Vec<_> = composed.plan.instances.iter().filter(speaks).filter(holds_a_secret).collect();
    let names = || all.iter().map(|i| format!("`{}`", i.id)).collect::<Vec<_>>().join(", ");
    match (wanted, all.as_slice()) {
        (Some(wanted), _) => all.iter().find(|i| i.id == wanted).copied().ok_or_else(|| {
            Refusal::usage(format!(
                "`--instance {wanted}`: the build's providers that take a key are {}",
                names()
            ))
        }),
        (None, [one]) => Ok(one),
        (None, []) => Err(Refusal::config("the build has no provider that takes a key; add one to it")),
        (None, _) => Err(Refusal::usage(format!("which one? `--instance` takes {}", names()))),
    }
}

fn settings(
    invocation: &Invocation,
    order: &InitOrder,
    instance: &PlannedInstance,
) -> Result<Settings, Refusal> {
    let asks = rustix::termios::isatty(std::io::stdin()) && rustix::termios::isatty(std::io::stderr());
    let text = |given: &Option<String>, key: &str, question: &str, option: &str| {
        let known = instance.config.get(key).and_then(Value::as_str).unwrap_or_default();
        match given {
            Some(given) => Ok(given.clone()),
            None if asks => ask(question, known),
            None => Err(Refusal::usage(format!("nobody is there to ask: add `{option}`"))),
        }
    };
    let base_url =
        text(&order.base_url, "base_url", "Endpoint, such as http://127.0.0.1:8080/v1", "--base-url URL")?;
    let model = text(&order.model, "model", "Model", "--model NAME")?;
    let mut settings = vec![("base_url", json!(base_url)), ("model", json!(model))];
    let key = match &order.key_env {
        Some(name) => format!("${name}"),
        None if asks => ask_hidden("Key: $NAME of a variable, or the key itself (not shown), or nothing")?,
        None => String::new(),
    };
    match key.strip_prefix('$') {
        Some(name) if order.tried && invocation.environment.get(name).is_none() => {
            return Err(Refusal::usage(format!(
                "the variable `{name}` is not set, so nothing can be tried; export it, or add `--no-try`"
            )));
        }
        Some(name) => settings.push(("api_key", json!({ "env": name }))),
        None if !key.is_empty() => settings.push(("api_key", json!(key))),
        None => {}
    }
    Ok(settings)
}

/// The same build, configured as it is going to be.
fn with(invocation: &Invocation, id: &str, settings: &Settings) -> Result<Composed, Refusal> {
    let mut options = invocation.options.clone();
    options.set.extend(settings.iter().map(|(key, value)| format!("{id}.{key}={}", file::in_toml(value))));
    let (environment, request) = (invocation.environment.clone(), crate::argv::Request::Help);
    let mut composed = compose_to_boot(&Invocation { options, environment, request })?;
    let alone = composed.plan.instance(id).is_some_and(|instance| instance.dependencies.is_empty());
    if alone {
        // Nobody else is needed to ask for one word.
        composed.plan.instances.retain(|instance| instance.id == id);
        composed.plan.binds.retain(|_, bound| bound == id);
    }
    Ok(composed)
}

/// One request; which model answered, if the wire said.
async fn tried(composed: Composed, id: &str) -> Result<String, Refusal> {
    let policy = policy::of(composed.plan.policy, &[], Unsaid::IsDenied)?;
    boot::with_kernel(composed, policy, async |kernel| {
        let answer = tokio::time::timeout(TRIAL_WITHIN, request(kernel, id)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TRIAL_WITHIN.as_secs())));
        answer.map_err(|what| {
            Refusal::failed(format!(
                "`{id}` cannot be used so: {what}; nothing was written; `--no-try` writes it unseen"
            ))
        })
    })
    .await
}

async fn request(kernel: &Kernel, id: &str) -> Result<String, String> {
    let inventory = kernel.inventory();
    let found = inventory.instances.iter().find(|instance| instance.id == id).ok_or("it is not there")?;
    if found.state == InstanceState::Disabled {
        return Err(found.reason.clone());
    }
    let provider = found.contributes.providers.first().ok_or("it brings no provider")?;
    if !provider.ready {
        return Err(provider.reason.clone());
    }
    let message =
        json!({ "role": "user", "parts": [{ "type": "text", "text": "Answer with the word: ready" }] });
    let params = json!({ "messages": [message], "output_tokens_max": TRIAL_TOKENS_MAX });
    // Through text: messages are raw.
    let params: StreamParams = serde_json::from_str(&params.to_string()).map_err(|e| e.to_string())?;
    let host = kernel.attach::<Read, _>(HOST_INSTANCE, Stdin::without_command());
    let reply = host.call_named(Stream, &provider.name, &params).await.map_err(|fault| fault.to_string())?;
    Ok(if reply.model.is_empty() { String::new() } else { format!(", as `{}`", reply.model) })
}
