//! A toy that says which build of itself answers; for tests of the ABI over real dlopen.
//!
//! Its command, named as the instance, prints one line, then what the commands named behind it print, in that order.
//! It must not know the fixtures that are built from a copy of it with a changed ABI (`tests/abi-fixtures`).
#![forbid(unsafe_code)]

use dispatch_sdk::contracts::command::{CommandSpec, Main, MainParams, MainReply, OutFrame};
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Item, Verbs};
use std::sync::Arc;

dispatch_sdk::export!(Probe);

struct Probe {
    instance: String,
    host: Host,
}

impl Extension for Probe {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { instance: config.instance().to_owned(), host })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Main, Self::main);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let command = CommandSpec {
            name: self.instance.clone(),
            summary: "Says which build it is.".to_owned(),
            options: Vec::new(),
        };
        Ok(Contributions { commands: vec![command], ..Contributions::default() })
    }
}

impl Probe {
    async fn main(self: Arc<Self>, call: Call, params: MainParams) -> Result<MainReply, Fault> {
        let text = format!("{}: {}\n", self.instance, build(&self.host));
        call.emit(&OutFrame { stream: OutputStream::Stdout, text }).await?;
        for name in &params.argv {
            let alone = MainParams { argv: Vec::new(), ..params.clone() };
            let mut stream = call.host().stream_named(Main, name, &alone);
            while let Item::Frame(frame) = stream.next().await? {
                call.emit(&frame).await?;
            }
        }
        Ok(MainReply { exit_code: 0 })
    }
}

/// What this build is called; a fixture puts its own word here.
fn build(_host: &Host) -> String {
    "today's".to_owned()
}
