//! The tool on a fake host: no process, no port, no library.

use super::WordCount;
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_testkit::FakeHost;
use serde_json::{Map, json};

#[tokio::test]
async fn words_are_counted() {
    let host = FakeHost::new();
    let extension = host.open::<WordCount>("tool-word-count", json!({})).await.unwrap();
    let args = Map::from_iter([("text".to_owned(), json!("one  two\nthree"))]);
    let params = RunParams { tool_call_id: "c".to_owned(), args, cwd: "/".to_owned() };
    assert_eq!(extension.call_named(Run, "word_count", &params).await.unwrap(), RunReply::text("3"));
}
