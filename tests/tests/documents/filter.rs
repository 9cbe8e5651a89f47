//! The filter that `extensions/README.md` shows, on a fake host.

use dispatch_sdk::contracts::filter::{
    Apply, ApplyParams, ApplyReply, FilterOp, FilterSpec, OnFault, Point, Reads,
};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use dispatch_testkit::FakeHost;
use serde_json::{json, value::to_raw_value};
use std::sync::Arc;

struct Short;

impl Extension for Short {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self)
    }
    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Apply, |_, _: Call, _: ApplyParams| async move {
            let at = json!("output_tokens_max");
            Ok(ApplyReply { ops: vec![FilterOp::Replace { at, value: json!(256) }], ..ApplyReply::default() })
        });
    }
    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let filter = FilterSpec {
            name: "short".to_owned(),
            point: Point::ProviderRequest,
            priority: 100,
            reads: Reads::Meta,
            on_fault: OnFault::Open,
        };
        Ok(Contributions { filters: vec![filter], ..Contributions::default() })
    }
}

#[tokio::test]
async fn a_request_gets_a_bound() {
    let filter = FakeHost::new().open::<Short>("filter-short", json!({})).await.unwrap();
    let value = Some(to_raw_value(&json!({ "model": "m" })).unwrap());
    let params = ApplyParams { point: Point::ProviderRequest, value, n_items: 0, about: None };
    let reply = filter.call_named(Apply, "short", &params).await.unwrap();
    let [FilterOp::Replace { at, value }] = reply.ops.as_slice() else { panic!("{reply:?}") };
    assert_eq!((at, value), (&json!("output_tokens_max"), &json!(256)));
    assert_eq!(filter.started().contributes.filters.len(), 1);
}
