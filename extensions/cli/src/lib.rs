//! Brings the commands `run` and `explain`, and asks on the terminal what a tool may do.
//!
//! It is a projection of the ops `turns.*`; it must not know who runs turns, nor touch the terminal: the binary does.
#![forbid(unsafe_code)]

mod args;
mod asking;
mod cli;
mod exit;
mod explained;
mod explaining;
mod ops;
mod output;
mod prompt;
mod question;
mod render;
mod running;
mod runs;
mod screen;
mod status;
mod unrun;
mod words;

#[cfg(test)]
mod tests;

use cli::Cli;
use dispatch_sdk::contracts::command::{Main, MainParams, MainReply};
use dispatch_sdk::contracts::{approvals, fault};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs, export};
use render::fault_line;
use runs::Run;
use std::sync::Arc;

export!(Cli, settings);

impl Extension for Cli {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self { host, runs: Arc::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Main, Self::main);
        verbs.on(approvals::Ask, Self::ask);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { commands: vec![args::spec(), explaining::spec()], ..Contributions::default() })
    }
}

impl Cli {
    async fn main(self: Arc<Self>, call: Call, params: MainParams) -> Result<MainReply, Fault> {
        let call = Arc::new(call);
        let run = Arc::new(Run::new(Arc::clone(&call), params.tty));
        let done = match call.target() {
            args::RUN => self.run(&run, &params).await,
            explaining::EXPLAIN => self.explain(&run, &params).await,
            other => {
                return Err(Fault::new(fault::UNKNOWN_VERB, format!("there is no command `{other}` here")));
            }
        };
        let exit_code = match done {
            Ok(exit_code) => exit_code,
            Err(fault) => {
                let mut screen = run.screen.lock().await;
                // If nobody takes this either, the exit code has to say it.
                let _ = screen.end_text().await;
                let _ = screen.trouble(&fault_line(&fault)).await;
                exit::of_fault(&fault)
            }
        };
        Ok(MainReply { exit_code })
    }
}
