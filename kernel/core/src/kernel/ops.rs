//! The ops that the kernel itself brings: what this host is made of, for every projection alike.

use super::contributions::entry_of;
use crate::router::{Endpoint, OpEntry};
use dispatch_contracts::Verb;
use dispatch_contracts::kernel::{Extensions, Health, Inventory, VerbInfo};
use dispatch_contracts::op::{Intent, List, OpExample, OpSpec, SurfaceHints};
use schemars::JsonSchema;
use serde_json::{Value, json};
use std::sync::Arc;

/// The kernel's ops; `verbs` are those that its endpoint serves.
pub(super) fn of(endpoint: &Arc<Endpoint>, verbs: &[VerbInfo]) -> Vec<Arc<OpEntry>> {
    let entry =
        |spec: OpSpec| entry_of(&spec, verbs, endpoint).expect("the kernel serves the verbs of its ops");
    specs().into_iter().map(entry).map(Arc::new).collect()
}

fn specs() -> Vec<OpSpec> {
    vec![
        read::<Inventory>(
            "host.inventory",
            "Shows every instance with all that it contributes, and who answers which contract.",
            "/v1/inventory",
            &["inventory"],
        ),
        read::<Health>(
            "host.health",
            "Shows the numbers of the running host: calls, panics, refusals, per instance.",
            "/v1/health",
            &["health"],
        ),
        read::<Extensions>(
            "extensions.list",
            "Lists the instances of the build, and why one does not run.",
            "/v1/extensions",
            &["extensions"],
        ),
        read::<List>("ops.list", "Lists every op with its schemas.", "/v1/ops", &["ops"]),
    ]
}

fn read<V: Verb<Reply: JsonSchema>>(id: &str, summary: &str, path: &str, words: &[&str]) -> OpSpec {
    OpSpec {
        id: id.to_owned(),
        summary: summary.to_owned(),
        verb: V::NAME.to_owned(),
        input_schema: json!({ "type": "object", "additionalProperties": false }),
        output_schema: schemars::schema_for!(V::Reply).to_value(),
        intent: Intent::Read,
        idempotent: true,
        stream: false,
        frame_schema: Value::Null,
        examples: vec![OpExample { summary: "It takes nothing.".to_owned(), input: json!({}) }],
        error_codes: Vec::new(),
        surface: SurfaceHints {
            http_method: "GET".to_owned(),
            http_path: path.to_owned(),
            http_status: 0,
            cli_words: words.iter().map(|word| (*word).to_owned()).collect(),
        },
    }
}
