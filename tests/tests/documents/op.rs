//! The op that `extensions/README.md` shows, on a fake host.

use dispatch_sdk::contracts::op::{Intent, OpSpec, SurfaceHints};
use dispatch_sdk::contracts::{Empty, Limits, NoFrame};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Mode, NoSettings, Verb, Verbs};
use dispatch_testkit::FakeHost;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

struct Now; // the verb: what goes in, what comes out, how long it may take

#[derive(Serialize, Deserialize, JsonSchema)]
struct NowReply {
    now_ms: u64,
}

impl Verb for Now {
    type Params = Empty;
    type Reply = NowReply;
    type Frame = NoFrame;
    const NAME: &'static str = "clock.v1/now";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(1_000);
}

struct Clock {
    host: Host,
}

impl Extension for Clock {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self { host })
    }
    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Now, |clock: Arc<Self>, _: Call, _: Empty| async move {
            Ok(NowReply { now_ms: clock.host.now_ms() })
        });
    }
    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let surface = SurfaceHints {
            http_method: "GET".to_owned(),
            http_path: "/v1/clock".to_owned(),
            ..SurfaceHints::default()
        };
        let op = OpSpec { surface, ..OpSpec::of::<Now>("clock.now", "What time it is.", Intent::Read) };
        Ok(Contributions { ops: vec![op], ..Contributions::default() })
    }
}

#[tokio::test]
async fn the_time_is_told() {
    let host = FakeHost::with_manual_clock();
    let clock = host.open::<Clock>("clock", json!({})).await.unwrap();
    let before = clock.call(Now, &Empty {}).await.unwrap().now_ms;
    host.advance_ms(5);
    assert_eq!(clock.call(Now, &Empty {}).await.unwrap().now_ms, before + 5);
    assert_eq!(clock.started().contributes.ops.len(), 1);
}
