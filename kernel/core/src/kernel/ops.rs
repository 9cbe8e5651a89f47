//! The ops that the kernel itself brings: what this host is made of, for every projection alike.

use super::contributions::entry_of;
use crate::router::{Endpoint, OpEntry};
use dispatch_contracts::kernel::{Extensions, Health, Inventory, VerbInfo};
use dispatch_contracts::op::{Intent, List, OpExample, OpSpec, SurfaceHints};
use serde_json::json;
use std::sync::Arc;

/// The kernel's ops; `verbs` are those that its endpoint serves.
pub(super) fn of(endpoint: &Arc<Endpoint>, verbs: &[VerbInfo]) -> Vec<Arc<OpEntry>> {
    let entry =
        |spec: OpSpec| entry_of(&spec, verbs, endpoint).expect("the kernel serves the verbs of its ops");
    specs().into_iter().map(entry).map(Arc::new).collect()
}

fn specs() -> Vec<OpSpec> {
    let read = Intent::Read;
    vec![
        shown(
            OpSpec::of::<Inventory>(
                "host.inventory",
                "Shows every instance with all that it contributes, and who answers which contract.",
                read,
            ),
            "inventory",
        ),
        shown(
            OpSpec::of::<Health>(
                "host.health",
                "Shows the numbers of the running host: calls, panics, refusals, per instance.",
                read,
            ),
            "health",
        ),
        shown(
            OpSpec::of::<Extensions>(
                "extensions.list",
                "Lists the instances of the build, and why one does not run.",
                read,
            ),
            "extensions",
        ),
        shown(OpSpec::of::<List>("ops.list", "Lists every op with its schemas.", read), "ops"),
    ]
}

/// The op with its input, which is nothing, and its place: `GET /v1/<word>`, `dispatch <word>`.
fn shown(spec: OpSpec, word: &str) -> OpSpec {
    OpSpec {
        input_schema: json!({ "type": "object", "additionalProperties": false }),
        examples: vec![OpExample::new("It takes nothing.", json!({}))],
        surface: SurfaceHints {
            http_method: "GET".to_owned(),
            http_path: format!("/v1/{word}"),
            http_status: 0,
            cli_words: vec![word.to_owned()],
        },
        ..spec
    }
}
