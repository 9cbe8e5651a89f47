//! How much is done at a time: turns that run, turns that get ready to, turns that are being opened. What does not fit
//! waits in the order it came.
//!
//! It must not know what a turn is. A waiting turn lies in its conversation's log already, so a queue costs memory for
//! its ids alone, and outlives this process.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::fault::INVALID;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Most turns opened at a time: below what a store takes, so that a burst waits here instead of being refused there.
const OPENING_MAX: usize = 128;
/// Turns per core that read their history and prompt at a time; more would only slow those that run.
const STARTING_PER_CORE: usize = 4;
/// Highest values that a build may set.
const RUNNING_LIMIT: usize = 1024;
const QUEUED_LIMIT: usize = 100_000;

/// What a build may set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Most turns that run at a time; each takes three or four of the host's long calls.
    turns_running_max: usize,
    /// Most turns that are accepted and wait; beyond it a start is `overloaded`.
    turns_queued_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { turns_running_max: 512, turns_queued_max: 10_000 }
    }
}

impl Settings {
    /// Errors: `invalid`, naming the key and its bounds.
    pub(crate) fn checked(self) -> Result<Self, Fault> {
        let bounded = |key: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Fault::new(INVALID, format!("`{key}` is {value}; use {least} to {most}")))
        };
        bounded("turns_running_max", self.turns_running_max, 1, RUNNING_LIMIT)?;
        bounded("turns_queued_max", self.turns_queued_max, 0, QUEUED_LIMIT)?;
        Ok(self)
    }

    /// Most turns that are accepted and not over.
    pub(crate) fn turns_max(&self) -> usize {
        self.turns_running_max + self.turns_queued_max
    }
}

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
