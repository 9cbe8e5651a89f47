//! `provider.v1/models`: what an endpoint says it offers, under any of the names it says it with.

use crate::config::Settings;
use crate::endpoint::{Endpoint, whole_body};
use crate::trouble::{Trouble, error_object};
use dispatch_sdk::contracts::provider::{FaultClass, ModelInfo, ModelsReply};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// The longest list, in bytes; the longest known has under 1 MiB.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Most models of a list; the rest is left out.
const MODELS_MAX: usize = 10_000;
/// Below the verb's budget, so that the caller hears the reason.
const WAIT_MAX: Duration = Duration::from_secs(12);

const CONTEXT: [&str; 9] = [
    "/context_length",
    "/context_window",
    "/max_context_length",
    "/max_model_len",
    "/context_size",
    "/max_input_tokens",
    "/top_provider/context_length",
    "/limit/context",
    "/meta/n_ctx_train",
];

/// Asks the endpoint for its models.
pub(crate) async fn models(
    settings: &Settings,
    endpoint: &Endpoint,
    now_ms: u64,
) -> Result<ModelsReply, Trouble> {
    let url = settings.url("models")?;
    let deadline = Instant::now() + settings.idle_timeout.min(WAIT_MAX);
    let request = endpoint.client(settings)?.get(url);
    let response = endpoint.send(request, settings, deadline, now_ms).await?;
    let body = whole_body(response, BODY_BYTES_MAX, settings, deadline).await?;
    let list: Value = serde_json::from_slice(&body).map_err(|error| {
        Trouble::new(FaultClass::Garbled, format!("the endpoint's list of models is no JSON: {error}"))
    })?;
    read(&list)
}

fn read(list: &Value) -> Result<ModelsReply, Trouble> {
    if let Some(error) = error_object(list) {
        return Err(Trouble::in_stream(error));
    }
    let items = [&list["data"], &list["models"], list].into_iter().find_map(Value::as_array);
    let items = items.ok_or_else(|| {
        Trouble::new(FaultClass::Garbled, "the endpoint's answer to `GET /models` holds no list of models")
    })?;
    Ok(ModelsReply { models: items.iter().filter_map(model).take(MODELS_MAX).collect() })
}

/// Reads one entry; one without a name is left out.
fn model(entry: &Value) -> Option<ModelInfo> {
    let names = [entry, &entry["id"], &entry["model"], &entry["name"]];
    let id = names.into_iter().find_map(|name| name.as_str().filter(|id| !id.is_empty()))?;
    let tokens = |path: &&str| entry.pointer(path).and_then(Value::as_u64).filter(|tokens| *tokens > 0);
    Some(ModelInfo { id: id.to_owned(), context_tokens_max: CONTEXT.iter().find_map(tokens) })
}

#[cfg(test)]
mod tests {
    use super::read;
    use dispatch_sdk::contracts::provider::ModelInfo;
    use serde_json::json;

    #[test]
    fn lists_of_every_known_shape_are_read() {
        let entries = json!([
            { "id": "a", "context_length": 8192, "max_tokens": 100 },
            { "name": "b", "max_model_len": 4096 },
            { "id": "c", "context_length": null, "top_provider": { "context_length": 1000 } },
            { "id": "", "model": "d", "meta": { "n_ctx_train": 32768 } },
            { "id": "e", "context_length": 0 },
            { "object": "model" },
            "f",
            7,
        ]);
        let known = [("a", 8192), ("b", 4096), ("c", 1000), ("d", 32768), ("e", 0), ("f", 0)];
        let expected: Vec<ModelInfo> = known
            .map(|(id, tokens)| ModelInfo {
                id: id.into(),
                context_tokens_max: Some(tokens).filter(|n| *n > 0),
            })
            .into();
        for list in [json!({ "data": entries }), json!({ "models": entries }), entries.clone()] {
            assert_eq!(read(&list).expect("a list").models, expected);
        }
    }

    #[test]
    fn an_answer_without_a_list_is_a_fault_and_an_error_keeps_its_class() {
        let class = |answer| read(&answer).expect_err("no list").class.code();
        assert_eq!(class(json!({ "object": "list" })), "garbled");
        assert_eq!(class(json!({ "error": { "message": "no", "code": "invalid_api_key" } })), "auth");
    }
}
