//! A toy that calls another extension and prints what came; for tests of the waist over real dlopen.
//!
//! Its command `toy SCENARIO` prints one JSON document; the tests compare it whole.
#![forbid(unsafe_code)]

mod scenarios;
mod turn;
mod verbs;

use dispatch_sdk::Contributions;
use dispatch_sdk::contracts::command::{CommandSpec, Main, MainParams, MainReply, OutFrame};
use dispatch_sdk::contracts::provider;
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::contracts::turn as host_of_turns;
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use verbs::{Bounce, DriverBounce};

dispatch_sdk::export!(Caller);

pub(crate) struct Caller {
    pub(crate) host: Host,
    /// What the kernel asked of a turn that this instance runs.
    pub(crate) asked: Mutex<Vec<Value>>,
}

impl Extension for Caller {
    fn open(host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self { host, asked: Mutex::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Main, Self::main);
        verbs.on(DriverBounce, Self::bounce);
        verbs.on(provider::Stream, Self::stream);
        verbs.on(host_of_turns::Commit, Self::commit);
        verbs.on(host_of_turns::Steering, Self::steering);
        verbs.on(host_of_turns::Boundary, Self::boundary);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let command = CommandSpec {
            name: "toy".to_owned(),
            summary: "Plays one scenario.".to_owned(),
            options: Vec::new(),
        };
        let providers = vec![turn::provider()];
        Ok(Contributions { commands: vec![command], providers, ..Contributions::default() })
    }
}

/// Shows more than a pipe holds that nobody reads.
async fn noise(call: &Call) -> Result<MainReply, Fault> {
    for _ in 0..256 {
        let frame = OutFrame { stream: OutputStream::Stdout, text: "x".repeat(4096) };
        call.emit(&frame).await?;
    }
    Ok(MainReply { exit_code: 0 })
}

impl Caller {
    async fn main(self: Arc<Self>, call: Call, params: MainParams) -> Result<MainReply, Fault> {
        let scenario = params.argv.first().map(String::as_str).unwrap_or_default();
        if scenario == "noise" {
            return noise(&call).await;
        }
        let shown = match scenarios::play(&self, &call, scenario).await {
            Ok(value) => value,
            Err(fault) => json!({ "fault": fault.code, "message": fault.message }),
        };
        let frame = OutFrame { stream: OutputStream::Stdout, text: format!("{shown}\n") };
        call.emit(&frame).await?;
        Ok(MainReply { exit_code: 0 })
    }

    async fn bounce(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        call.host().call(Bounce, &params).await
    }
}
