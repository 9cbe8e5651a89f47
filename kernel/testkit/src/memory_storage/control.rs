//! The test's handle for failures on demand.

use super::faults::{SetFaults, SetFaultsParams, WaitHeld, WaitHeldParams};
use crate::Opened;
use dispatch_contracts::{Empty, Fault};

/// Makes one opened [`MemoryStorage`](super::MemoryStorage) fail or hold its commits.
#[derive(Clone)]
pub struct MemoryControl {
    storage: Opened,
}

impl MemoryControl {
    pub(super) fn new(storage: Opened) -> Self {
        Self { storage }
    }

    /// The next commit that is well formed writes nothing and answers `code`; several wait in line.
    pub async fn fail_next_commit(&self, code: &str) -> Result<(), Fault> {
        self.set(SetFaultsParams { fail: Some(code.to_owned()), ..SetFaultsParams::default() }).await
    }

    /// The next commit that is well formed is written and answers `code` all the same; it waits in the same line.
    pub async fn lose_next_reply(&self, code: &str) -> Result<(), Fault> {
        self.set(SetFaultsParams { lose: Some(code.to_owned()), ..SetFaultsParams::default() }).await
    }

    /// Commits that are told to fail and have not come.
    pub async fn forget_faults(&self) -> Result<(), Fault> {
        self.set(SetFaultsParams { forget: true, ..SetFaultsParams::default() }).await
    }

    /// From now on commits wait, until [`MemoryControl::release`].
    pub async fn hold(&self) -> Result<(), Fault> {
        self.set(SetFaultsParams { hold: Some(true), ..SetFaultsParams::default() }).await
    }

    /// Lets held commits go on, and later ones pass.
    pub async fn release(&self) -> Result<(), Fault> {
        self.set(SetFaultsParams { hold: Some(false), ..SetFaultsParams::default() }).await
    }

    /// Waits until at least `n` commits are held.
    pub async fn wait_held(&self, n: usize) -> Result<(), Fault> {
        self.storage.call(WaitHeld, &WaitHeldParams { n }).await.map(|Empty {}| ())
    }

    async fn set(&self, params: SetFaultsParams) -> Result<(), Fault> {
        self.storage.call(SetFaults, &params).await.map(|Empty {}| ())
    }
}
