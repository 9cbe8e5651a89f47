//! Brings the commands `run` and `explain`, and asks on the terminal what a tool may do.
//!
//! It is a projection of the ops `turns.*`; it must not know who runs turns, nor touch the terminal: the binary does.
#![forbid(unsafe_code)]

mod args;
mod asking;
mod exit;
mod explained;
mod explaining;
mod output;
mod prompt;
mod question;
mod render;
mod running;
mod runs;
mod screen;
mod status;
mod words;

#[cfg(test)]
mod tests;

use dispatch_sdk::contracts::{approvals, command};
use dispatch_sdk::{Config, Contributions, Extension, Fault, Host, NoSettings, Verbs, export};
use runs::Runs;
use std::sync::Arc;

export!(Cli, settings);

/// The instance.
struct Cli {
    /// Makes root calls: a stopped command still sees its turn end.
    host: Host,
    runs: Arc<Runs>,
}

impl Extension for Cli {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self { host, runs: Arc::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(command::Main, Self::main);
        verbs.on(approvals::Ask, Self::ask);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { commands: vec![args::spec(), explaining::spec()], ..Contributions::default() })
    }
}
