//! How much is done at a time: turns that run, turns that get ready to, turns that are being opened. What does not fit
//! waits in the order it came.
//!
//! It must not know what a turn is. A waiting turn lies in its conversation's log already, so a queue costs memory for
//! its ids alone, and outlives this process.

use crate::settings::Settings;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Most turns opened at a time: below what a store takes, so that a burst waits here instead of being refused there.
const OPENING_MAX: usize = 128;
/// Turns per core that read their history and prompt at a time; more would only slow those that run.
const STARTING_PER_CORE: usize = 4;
/// The gates, in the order a turn passes them.
pub(crate) struct Gates {
    opening: Semaphore,
    running: Arc<Semaphore>,
    starting: Semaphore,
    running_max: usize,
}

impl Gates {
    pub(crate) fn new(settings: &Settings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            opening: Semaphore::new(OPENING_MAX),
            running: Arc::new(Semaphore::new(settings.turns_running_max)),
            starting: Semaphore::new(cores * STARTING_PER_CORE),
            running_max: settings.turns_running_max,
        }
    }

    /// Held while a turn is written down for the first time.
    pub(crate) async fn open(&self) -> SemaphorePermit<'_> {
        self.opening.acquire().await.expect("this gate is never closed")
    }

    /// Held as long as a turn runs; `None` once the gate is closed.
    pub(crate) async fn run(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).acquire_owned().await.ok()
    }

    /// Held while a turn reads what it begins with.
    pub(crate) async fn start(&self) -> SemaphorePermit<'_> {
        self.starting.acquire().await.expect("this gate is never closed")
    }

    /// Lets no turn run any more that does not already.
    pub(crate) fn close(&self) {
        self.running.close();
    }

    /// Turns that run now.
    pub(crate) fn n_running(&self) -> usize {
        self.running_max.saturating_sub(self.running.available_permits())
    }
}
