//! `/metrics`: whose numbers are shown, and that the text is what Prometheus reads.

use super::{host, serve};
use dispatch_sdk::Fault;
use serde_json::json;

#[tokio::test]
async fn numbers_of_all_are_shown_once_each() {
    let host = host();
    host.on("instance.v1/metrics", |_| {
        let sample = |labels, value| json!({ "labels": labels, "value": value });
        Ok(json!({ "metrics": [
            { "name": "toy_things", "help": "Things\nin it.", "kind": "gauge",
              "samples": [sample(json!({ "kind": "a\"b\\c\nd", "bad name": "x" }), 1.5)] },
            { "name": "toy_total", "help": "All.", "kind": "counter", "samples": [sample(json!({}), 3.0)] },
            { "name": "bad name", "help": "", "kind": "gauge", "samples": [sample(json!({}), 3.0)] },
            { "name": "dispatch_http_connections", "help": "", "kind": "counter", "samples": [] },
        ] }))
    });
    let world = serve(host, json!({})).await;
    assert_eq!(world.get("/v1/things/1").await.status, 200);
    assert_eq!(world.get("/nothing").await.status, 404);
    let metrics = world.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(metrics.body).expect("text");
    let own = "instance=\"transport-http\"";
    for line in [
        "# HELP toy_things Things\\nin it.",
        "# TYPE toy_things gauge",
        "toy_things{instance=\"toy\",kind=\"a\\\"b\\\\c\\nd\"} 1.5",
        "toy_total{instance=\"toy\"} 3",
        "dispatch_calls_open 4",
        "dispatch_instance_calls_total{instance=\"toy\"} 7",
        "# TYPE dispatch_http_connections gauge",
        &format!("dispatch_http_sse_clients{{{own}}} 0"),
        &format!(
            "dispatch_http_requests_total{{{own},method=\"GET\",route=\"/v1/things/{{thing_id}}\",status=\"200\"}} 1"
        ),
        &format!("dispatch_http_requests_total{{{own},method=\"GET\",route=\"none\",status=\"404\"}} 1"),
    ] {
        assert!(text.lines().any(|known| known == line), "no line {line} in\n{text}");
    }
    assert!(!text.contains("bad name"));
    let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut once = types.clone();
    once.dedup();
    assert_eq!(types, once);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("two words");
        assert!(value.parse::<f64>().is_ok() && !name.is_empty(), "{line}");
    }
    // It asks neither those that have none, nor itself.
    let asked: Vec<_> =
        world.host.calls().into_iter().filter(|call| call.verb.starts_with("instance.v1/")).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].verb, "instance.v1/metrics#toy");
}

#[tokio::test]
async fn an_instance_that_tells_nothing_hides_no_others() {
    let host = host();
    host.on("instance.v1/metrics", |_| Err(Fault::new("panicked", "oh")));
    let world = serve(host, json!({})).await;
    let metrics = world.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(String::from_utf8(metrics.body).expect("text").contains("dispatch_http_connections"));
    world.host.on("kernel.v1/health", |_| Err(Fault::new("unavailable", "not now")));
    let failed = world.get("/metrics").await;
    assert_eq!((failed.status, failed.code().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn invented_methods_and_paths_make_no_series_of_their_own() {
    let host = host();
    host.on("instance.v1/metrics", |_| Ok(json!({ "metrics": [] })));
    let world = serve(host, json!({})).await;
    for n in 0..20 {
        world.ask(&format!("BREW{n} /x{n}"), "", "").await;
        world.ask(&format!("BREW{n} /v1/things/{n}"), "", "").await;
    }
    let text = String::from_utf8(world.get("/metrics").await.body).expect("text");
    let series: Vec<_> =
        text.lines().filter(|line| line.starts_with("dispatch_http_requests_total")).collect();
    assert_eq!(series.len(), 2, "{series:?}");
}
