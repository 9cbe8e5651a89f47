//! Who lives: the row of this host process, and what the rows of others say.
//!
//! A row is written with the first turn that a host opens. It names the process, so that who runs beside it can look;
//! and while turns are open it is renewed, so that who runs elsewhere sees it change. How long a row did not change is
//! measured by the one who looks, never by comparing two clocks. No row, no verdict: unknown is never dead.

use crate::convs::Convs;
use crate::faults;
use crate::here::{Place, Probe, Prober};
use crate::keys;
use crate::store::{self, Batch};
use dispatch_sdk::contracts::conversations::{HOST_LEASE_MS, HOST_RENEW_MS, HostLifeReply, Life, check_id};
use dispatch_sdk::contracts::storage::{Commit, CommitParams, Get, GetParams, Put, Require};
use dispatch_sdk::{Fault, Host, fault};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;

/// Most hosts elsewhere whose rows are kept in mind; beyond them all are looked at anew.
const SEEN_MAX: usize = 10_000;
/// Rounds without an open turn after which nothing is renewed any more: longer than a begin may be under way.
const IDLE_ROUNDS_MAX: u32 = 4;
/// Most of the time between two looks that counts: while a machine sleeps nobody renews anything.
const LOOKED_MS_MAX: u64 = 10_000;

/// The row of a host process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostRow {
    /// Empty where this could not be read; then only the lease counts.
    #[serde(default)]
    pub(crate) boot_id: String,
    #[serde(default)]
    pub(crate) pid_ns: String,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) started: u64,
    /// Renewed before this by the clock of its machine, unix ms: it changes with every renewal, and is compared with no
    /// other clock.
    #[serde(default)]
    pub(crate) until: u64,
    /// A person says that it is dead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) buried: bool,
}

/// What this process knows of hosts.
pub(crate) struct Hosts {
    host: Host,
    prober: Box<dyn Prober>,
    own: Option<Place>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Our row as it was last written: of which host id, and when.
    written: Option<(String, u64)>,
    renewing: bool,
    seen: HashMap<String, Seen>,
}

/// How long the row of a host elsewhere has not changed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    version: u64,
    looked_at: u64,
    unchanged_ms: u64,
}

impl Hosts {
    pub(crate) fn new(host: Host, prober: Box<dyn Prober>) -> Self {
        let own = prober.own();
        Self { host, prober, own, state: Mutex::default() }
    }

    /// Commits what opens a turn, and with it our row if that is due: where the one is, the other is.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        mut opening: Batch<'_>,
        host: &Host,
        convs: &Arc<Convs>,
        host_id: &str,
    ) -> Result<(u64, bool), Fault> {
        let now = host.now_ms();
        let due = self.due(host_id, now);
        let is_due = due.is_some();
        due.into_iter().for_each(|put| opening.put_other(put));
        let committed = opening.commit(host, &convs.counts).await?;
        if is_due {
            self.written(convs, host_id, now);
        }
        Ok(committed)
    }

    fn due(&self, host_id: &str, now: u64) -> Option<Put> {
        let state = self.lock();
        let fresh = |(id, at): &(String, u64)| id == host_id && now.saturating_sub(*at) < HOST_RENEW_MS;
        if state.renewing && state.written.as_ref().is_some_and(fresh) {
            None
        } else {
            Some(self.row(host_id, now))
        }
    }

    fn row(&self, host_id: &str, now: u64) -> Put {
        let place = self.own.clone().unwrap_or(Place {
            boot_id: String::new(),
            pid_ns: String::new(),
            pid: 0,
            started: 0,
        });
        let Place { boot_id, pid_ns, pid, started } = place;
        let row = HostRow { boot_id, pid_ns, pid, started, until: now + HOST_LEASE_MS, buried: false };
        let value = to_raw_value(&row).expect("a struct of strings and numbers always encodes");
        Put { key: keys::host(host_id), value }
    }

    /// A commit with our row went through: from now on it is renewed while turns are open.
    fn written(self: &Arc<Self>, convs: &Arc<Convs>, host_id: &str, now: u64) {
        let mut state = self.lock();
        state.written = Some((host_id.to_owned(), now));
        if !std::mem::replace(&mut state.renewing, true) {
            tokio::spawn(Arc::clone(self).renew(Arc::clone(convs)));
        }
    }

    /// A commit that opened a turn went through although it was reported as failed, and our row with it.
    pub(crate) fn landed(self: &Arc<Self>, convs: &Arc<Convs>, host_id: &str) {
        self.written(convs, host_id, self.host.now_ms());
    }

    async fn renew(self: Arc<Self>, convs: Arc<Convs>) {
        let mut n_idle = 0;
        loop {
            self.host.sleep(Duration::from_millis(HOST_RENEW_MS)).await;
            let host_id = {
                let mut state = self.lock();
                n_idle = if convs.runs_any() { 0 } else { n_idle + 1 };
                if n_idle >= IDLE_ROUNDS_MAX {
                    state.renewing = false;
                    return;
                }
                state.written.as_ref().filter(|_| n_idle == 0).map(|(id, _)| id.clone())
            };
            let Some(host_id) = host_id else { continue };
            let now = self.host.now_ms();
            let commit = CommitParams { put: vec![self.row(&host_id, now)], ..CommitParams::default() };
            match self.host.call(Commit, &commit).await {
                Ok(_) => self.lock().written = Some((host_id, now)),
                Err(fault) => warn!(%fault, "the row of this host cannot be renewed; trying again"),
            }
        }
    }

    /// Takes our row out, when nothing is open here.
    pub(crate) async fn leave(&self, convs: &Convs) {
        if convs.runs_any() {
            return;
        }
        let Some((host_id, _)) = self.lock().written.take() else { return };
        let commit = CommitParams { delete: vec![keys::host(&host_id)], ..CommitParams::default() };
        if let Err(fault) = self.host.call(Commit, &commit).await {
            warn!(%fault, "the row of this host stays behind");
        }
    }

    /// Whether a host lives.
    pub(crate) async fn life(&self, host: &Host, host_id: &str) -> Result<Life, Fault> {
        let found = row_of(host, host_id).await?;
        Ok(self.life_of(host_id, found.as_ref(), host.now_ms()))
    }

    fn life_of(&self, host_id: &str, found: Option<&Found>, now: u64) -> Life {
        match found {
            Some(Found { row: Some(row), version }) => self.judge(host_id, row, *version, now),
            Some(Found { row: None, .. }) | None => Life::Unknown,
        }
    }

    pub(crate) fn judge(&self, host_id: &str, row: &HostRow, version: u64, now: u64) -> Life {
        if row.buried {
            return Life::Dead;
        }
        let beside = self.own.as_ref().is_some_and(|own| {
            !row.boot_id.is_empty() && own.boot_id == row.boot_id && own.pid_ns == row.pid_ns
        });
        if beside {
            match self.prober.probe(row.pid, row.started) {
                Probe::There => return Life::Alive,
                Probe::Gone => return Life::Dead,
                Probe::CannotTell => {}
            }
        }
        self.judge_elsewhere(host_id, version, now)
    }

    fn judge_elsewhere(&self, host_id: &str, version: u64, now: u64) -> Life {
        let mut state = self.lock();
        let first = Seen { version, looked_at: now, unchanged_ms: 0 };
        let Some(seen) = state.seen.get_mut(host_id) else {
            if state.seen.len() >= SEEN_MAX {
                state.seen.clear();
            }
            // Whether it changes is known a lease of our own time later.
            state.seen.insert(host_id.to_owned(), first);
            return Life::Alive;
        };
        if seen.version != version {
            *seen = first;
            return Life::Alive;
        }
        seen.unchanged_ms += now.saturating_sub(seen.looked_at).min(LOOKED_MS_MAX);
        seen.looked_at = now;
        if seen.unchanged_ms >= HOST_LEASE_MS { Life::Dead } else { Life::Alive }
    }

    /// A person says that a host is dead.
    pub(crate) async fn bury(&self, host: &Host, host_id: &str) -> Result<HostLifeReply, Fault> {
        check_id(host_id)?;
        let key = keys::host(host_id);
        let found = row_of(host, host_id).await?;
        match self.life_of(host_id, found.as_ref(), host.now_ms()) {
            Life::Dead => return Ok(HostLifeReply { life: Life::Dead }),
            Life::Alive => return Err(faults::lives(host_id)),
            Life::Unknown => {
                let (start, end) = keys::open_of(host_id);
                if !store::any(host, start, end).await? {
                    return Err(faults::nothing_open(host_id));
                }
            }
        }
        let version = found.as_ref().map(|found| found.version);
        let row = HostRow { buried: true, ..found.and_then(|found| found.row).unwrap_or_default() };
        let value = to_raw_value(&row).expect("a struct of strings and numbers always encodes");
        let commit = CommitParams {
            require: vec![Require { key: key.clone(), version }],
            put: vec![Put { key, value }],
            ..CommitParams::default()
        };
        host.call(Commit, &commit).await?;
        Ok(HostLifeReply { life: Life::Dead })
    }

    /// Takes out the rows of hosts that are dead and have nothing open: `idle` of them, each with its version.
    pub(crate) async fn forget(&self, host: &Host, idle: Vec<(String, u64)>) -> Result<(), Fault> {
        for (host_id, version) in idle {
            let key = keys::host(&host_id);
            let commit = CommitParams {
                require: vec![Require { key: key.clone(), version: Some(version) }],
                delete: vec![key],
                ..CommitParams::default()
            };
            match host.call(Commit, &commit).await {
                Err(fault) if !fault.is(fault::CONFLICT) => return Err(fault),
                Ok(_) | Err(_) => {
                    self.lock().seen.remove(&host_id);
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of a host as it lies in the store; without `row` it cannot be read.
struct Found {
    row: Option<HostRow>,
    version: u64,
}

/// Reads the row of a host. One that cannot be read tells nothing, and must not keep the others from being looked at.
async fn row_of(host: &Host, host_id: &str) -> Result<Option<Found>, Fault> {
    let params = GetParams { key: keys::host(host_id) };
    let Some(entry) = host.call(Get, &params).await?.entry else { return Ok(None) };
    let row = serde_json::from_str(entry.value.get());
    if let Err(error) = &row {
        warn!(key = entry.key, %error, "the row of a host cannot be read; nobody can tell whether it lives");
    }
    Ok(Some(Found { row: row.ok(), version: entry.version }))
}
