//! The filter of calls that `extensions/README.md` shows.

use dispatch_sdk::contracts::filter::{About, Apply, ApplyParams, ApplyReply, Point, Tightened};
use dispatch_sdk::contracts::tool::RunReply;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json, value::to_raw_value};
use std::sync::Arc;

async fn careful(_call: Call, params: ApplyParams) -> Result<ApplyReply, Fault> {
    let value: Value = params.value.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let command = value["args"]["command"].as_str().unwrap_or_default();
    let guarded = params.about.is_some_and(|about| about.computer == "production");
    Ok(match command {
        "date" => ApplyReply { result: Some(RunReply::text("a quiet day")), ..ApplyReply::default() },
        _ if guarded => ApplyReply { policy: Some(Tightened::Ask), ..ApplyReply::default() },
        _ => ApplyReply::default(),
    })
}

struct Careful;

impl Extension for Careful {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self)
    }
    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Apply, |_, call: Call, params: ApplyParams| careful(call, params));
    }
    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions::default())
    }
}

#[tokio::test]
async fn a_call_is_answered_asked_about_or_let_through() {
    let filter = FakeHost::new().open::<Careful>("filter-careful", json!({})).await.unwrap();
    let asked = async |command: &str, computer: &str| {
        let value = Some(to_raw_value(&json!({ "args": { "command": command } })).unwrap());
        let about = Some(About { computer: computer.to_owned(), ..About::default() });
        let params = ApplyParams { point: Point::ToolCall, value, n_items: 0, about };
        filter.call_named(Apply, "careful", &params).await.unwrap()
    };
    assert_eq!(asked("date", "production").await.result, Some(RunReply::text("a quiet day")));
    assert_eq!(asked("make", "production").await.policy, Some(Tightened::Ask));
    assert_eq!(asked("make", "").await, ApplyReply::default());
}
