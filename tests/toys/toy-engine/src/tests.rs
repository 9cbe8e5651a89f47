//! The toy keeps what every engine must.

use super::ToyEngine;
use dispatch_testkit::{FakeHost, engine_suite};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_suite() {
    let host = FakeHost::new();
    let toy = host.open::<ToyEngine>("toy-engine", json!({})).await.expect("it opens");
    let inputs = engine_suite::Inputs { quick: "hello", long: "hang" };
    engine_suite::run(&engine_suite::Alone::new(toy, "toy"), inputs).await;
}
