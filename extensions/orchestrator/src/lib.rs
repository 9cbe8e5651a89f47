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
mod ending;
mod engine_choice;
mod explaining;
mod gates;
mod models;
mod opening;
mod ops;
mod provider_choice;
mod request;
mod running;
mod serving;
mod settings;
mod showing;
mod starting;
mod stopping;
mod sweeping;
mod turn_table;
mod unwritten;
mod watching;
mod wishes;

#[cfg(test)]
mod tests;

use counting::Counts;
use dispatch_sdk::contracts::{Empty, instance, turn, turns};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs, export};
use gates::Gates;
use settings::Settings;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use turn_table::TurnTable;
use unwritten::Unwritten;
use watching::Watches;

export!(Orchestrator, settings);

/// The instance.
struct Orchestrator {
    /// Makes root calls: what a turn does outlives the call that asked for it.
    host: Host,
    turns: Arc<TurnTable>,
    gates: Arc<Gates>,
    settings: Settings,
    counts: Arc<Counts>,
    watches: Arc<Watches>,
    unwritten: Arc<Unwritten>,
    /// Somebody looks for wishes to stop.
    looking: AtomicBool,
}

impl Extension for Orchestrator {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let settings = config.parse::<Settings>()?.checked()?;
        Ok(Self {
            host,
            turns: Arc::new(TurnTable::new(settings.turns_max())),
            gates: Arc::new(Gates::new(&settings)),
            counts: Arc::default(),
            watches: Watches::new(),
            settings,
            unwritten: Unwritten::new(),
            looking: AtomicBool::new(false),
        })
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

impl Orchestrator {
    /// Nothing is ever queued for a running turn in this build.
    async fn steering(self: Arc<Self>, _call: Call, _params: Empty) -> Result<turn::SteeringReply, Fault> {
        Ok(turn::SteeringReply::default())
    }

    /// For an engine, which is given a turn's input alone.
    async fn history(
        self: Arc<Self>,
        call: Call,
        params: turn::HistoryParams,
    ) -> Result<turn::HistoryReply, Fault> {
        committing::from_kernel(&call)?;
        let turn = self.turns.get(&params.turn_id).ok_or_else(|| committing::over(&params.turn_id))?;
        let messages = running::history(&call.host(), &turn.conversation_id).await?.messages;
        Ok(turn::HistoryReply { messages })
    }

    /// The history stays as it is: nothing in this build can shorten one, and it asks no kernel to ask.
    async fn boundary(
        self: Arc<Self>,
        _call: Call,
        _params: turn::BoundaryParams,
    ) -> Result<turn::BoundaryReply, Fault> {
        Ok(turn::BoundaryReply::default())
    }
}
