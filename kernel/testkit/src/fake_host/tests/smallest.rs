//! The smallest extension, opened and called: what an author starts from.

use crate::FakeHost;
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use serde_json::{Map, Value, json};
use std::sync::Arc;

struct Greeter;

impl Extension for Greeter {
    fn open(_host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, Self::run);
    }
}

impl Greeter {
    async fn run(self: Arc<Self>, call: Call, _params: RunParams) -> Result<RunReply, Fault> {
        let content = format!("hello, {}", call.target());
        Ok(RunReply { content, is_error: false, detail: Value::Null, ..RunReply::default() })
    }
}

#[tokio::test]
async fn the_smallest_extension_answers_a_call() {
    let greeter = FakeHost::new().open::<Greeter>("greeter", json!({})).await.expect("it opens");
    let params = RunParams { tool_call_id: "1".into(), args: Map::new(), cwd: "/".into() };
    let reply = greeter.call_named(Run, "world", &params).await.expect("it answers");
    assert_eq!(reply.content, "hello, world");
}
