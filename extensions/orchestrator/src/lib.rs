//! Starts, stops, watches and explains turns, and commits what they make.
//!
//! A turn belongs to this instance, not to whoever asked for it: it runs as a task of its own and ends in exactly one
//! terminal state. The log is conversation-store's; the loop is the kernel's. It must not know any of the two.
#![forbid(unsafe_code)]

mod adopting;
mod asking;
mod checking;
mod committing;
mod counting;
mod counts;
mod ending;
mod engine_choice;
mod events;
mod explaining;
mod forwarding;
mod gates;
mod living;
mod models;
mod opening;
mod ops;
mod orchestrator;
mod outcome;
mod plan;
mod preparing;
mod provider_choice;
mod request;
mod running;
mod serving;
mod settings;
mod showing;
mod starting;
mod stepping;
mod stopping;
mod sweeping;
mod turn_table;
mod unwritten;
mod watches;
mod watching;
mod wishes;

#[cfg(test)]
mod tests;

use dispatch_sdk::contracts::{instance, turn, turns};
use dispatch_sdk::{Config, Contributions, Extension, Fault, Host, Verbs, export};
use orchestrator::Orchestrator;
use settings::Settings;
use std::sync::Arc;

export!(Orchestrator, settings);

impl Extension for Orchestrator {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self::new(host, config.parse::<Settings>()?.checked()?))
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        // Those served in place only wait for others: a thread of their own would be two more wake-ups for each.
        verbs.on_inline(turns::Start, Self::start_turn);
        verbs.on(turns::Stop, Self::stop_turn);
        verbs.on(turns::Watch, Self::watch);
        verbs.on(turns::Explain, Self::explain);
        verbs.on(turns::Models, Self::models);
        verbs.on(instance::Serve, Self::serve);
        verbs.on(instance::Drain, Self::drain);
        verbs.on(instance::Check, Self::check);
        verbs.on(instance::Metrics, Self::metrics);
        verbs.on_inline(turn::Commit, Self::commit);
        verbs.on(turn::Ask, Self::ask);
        verbs.on(turn::Keep, Self::keep);
        verbs.on_inline(turn::Steering, Self::steering);
        verbs.on_inline(turn::Boundary, Self::boundary);
        verbs.on(turn::History, Self::history);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { ops: ops::all(), ..Contributions::default() })
    }

    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        self.interrupt_all().await;
        Ok(())
    }
}
