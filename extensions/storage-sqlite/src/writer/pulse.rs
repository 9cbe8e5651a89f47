//! How the store stands: whether what is committed can be written, found out by the writer without waiting for a caller.
//!
//! A commit that found no room says so at once. Whether there is room again is tried with a file of that size beside the
//! store, as a reserve or a quota is seen in no other way. It must not know who is told.

use super::transaction::GROUP_BYTES_MAX;
use crate::trouble::{PROBE_BYTES, no_space, probe};
use dispatch_sdk::contracts::kernel::{HealthState, ReportParams};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Fault, fault};
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is looked at, whether anything is written or not.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// With fewer free bytes it is tried whether a file can grow.
const FREE_BYTES_LOW: u64 = 4 * PROBE_BYTES as u64;

/// What was found last, and what is tried next.
pub(super) struct Pulse {
    path: PathBuf,
    health: watch::Sender<ReportParams>,
    looked_at: Instant,
    /// Most bytes that a work had which found no room since there was some; 0 = none did.
    wanted_bytes: usize,
}

impl Pulse {
    pub(super) fn of(path: &Path) -> (Self, watch::Receiver<ReportParams>) {
        let (health, told) = watch::channel(ok());
        (Self { path: path.to_owned(), health, looked_at: Instant::now(), wanted_bytes: 0 }, told)
    }

    pub(super) fn is_due(&self) -> bool {
        self.looked_at.elapsed() >= EVERY
    }

    /// Tries whether there is room, if that is in doubt.
    pub(super) fn look_for_room(&mut self) {
        self.looked_at = Instant::now();
        let dir = self.path.parent().unwrap_or(&self.path);
        let is_low =
            statvfs(dir).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES_LOW);
        if self.wanted_bytes == 0 && !is_low {
            return self.stand(ok());
        }
        match probe(dir, self.wanted_bytes.clamp(PROBE_BYTES, GROUP_BYTES_MAX)) {
            Ok(()) => {
                self.wanted_bytes = 0;
                self.stand(ok());
            }
            Err(error) => {
                let found = Fault::from_io("cannot write beside the store", &self.path, &error);
                let found = if found.is(NO_SPACE) { no_space(&self.path) } else { found };
                self.stand(degraded(&found));
            }
        }
    }

    /// A work of `n_bytes` was refused; one that the disk refused leaves the store in doubt.
    pub(super) fn refused(&mut self, fault: &Fault, n_bytes: usize) {
        if fault.is(NO_SPACE) || fault.is(fault::IO) {
            self.wanted_bytes = self.wanted_bytes.max(n_bytes).max(1);
            self.stand(degraded(fault));
        }
    }

    /// The files lost their names: there is no way back.
    pub(super) fn lost(&mut self, fault: &Fault) {
        self.stand(ReportParams { state: HealthState::Failed, reason: fault.message.clone() });
    }

    fn stand(&self, now: ReportParams) {
        self.health.send_if_modified(|before| {
            // The reason of a state is told once.
            let changes = before.state != now.state && before.state != HealthState::Failed;
            if changes {
                *before = now;
            }
            changes
        });
    }
}

fn ok() -> ReportParams {
    ReportParams { state: HealthState::Ok, reason: String::new() }
}

fn degraded(fault: &Fault) -> ReportParams {
    ReportParams { state: HealthState::Degraded, reason: fault.message.clone() }
}
