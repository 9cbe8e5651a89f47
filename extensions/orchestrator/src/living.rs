//! Whether an open turn, or the host that holds it, still lives. It must not know what is done where it does not.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::Host;
use dispatch_sdk::contracts::conversations::{HostLife, HostLifeParams, Life, OpenTurn};
use dispatch_sdk::contracts::fault::{NO_SERVICE, UNKNOWN_VERB};
use dispatch_sdk::contracts::kernel::{HostAlive, HostAliveParams};

impl Orchestrator {
    /// Whether an open turn still has its task. In doubt it has.
    pub(crate) async fn runs_somewhere(&self, host: &Host, own_host_id: &str, open: &OpenTurn) -> bool {
        if open.host_id == own_host_id {
            // Ours without a task: its end could not be written when it came, for instance on a full disk.
            return self.turns.get(&open.turn_id).is_some() || self.turns.is_closed();
        }
        self.host_lives(host, &open.host_id).await
    }

    /// Whether a host lives; in doubt it does.
    ///
    /// A host of before hosts wrote rows has a lock file alone, which proves something only where it lies.
    pub(crate) async fn host_lives(&self, host: &Host, host_id: &str) -> bool {
        let host_id = host_id.to_owned();
        match host.call(HostLife, &HostLifeParams { host_id: host_id.clone() }).await.map(|reply| reply.life)
        {
            Ok(Life::Alive) => true,
            Ok(Life::Dead) => false,
            Ok(Life::Unknown) => self.lock_is_held(host, host_id).await,
            Err(fault) if fault.is(UNKNOWN_VERB) || fault.is(NO_SERVICE) => {
                self.lock_is_held(host, host_id).await
            }
            Err(_) => true,
        }
    }

    async fn lock_is_held(&self, host: &Host, host_id: String) -> bool {
        host.call(HostAlive, &HostAliveParams { host_id }).await.map_or(true, |reply| reply.alive)
    }
}
