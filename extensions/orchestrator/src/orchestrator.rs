//! The instance: what its verbs share. It must not know them.

use crate::counts::Counts;
use crate::gates::Gates;
use crate::settings::Settings;
use crate::turn_table::TurnTable;
use crate::unwritten::Unwritten;
use crate::watches::Watches;
use dispatch_sdk::Host;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The instance.
pub(crate) struct Orchestrator {
    /// Makes root calls: what a turn does outlives the call that asked for it.
    pub(crate) host: Host,
    pub(crate) turns: Arc<TurnTable>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) settings: Settings,
    pub(crate) counts: Arc<Counts>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) unwritten: Arc<Unwritten>,
    /// Somebody looks for wishes to stop.
    pub(crate) looking: AtomicBool,
}

impl Orchestrator {
    /// An instance without turns.
    pub(crate) fn new(host: Host, settings: Settings) -> Self {
        Self {
            host,
            turns: Arc::new(TurnTable::new(settings.turns_max())),
            gates: Arc::new(Gates::new(&settings)),
            counts: Arc::default(),
            watches: Watches::new(),
            settings,
            unwritten: Unwritten::new(),
            looking: AtomicBool::new(false),
        }
    }
}
