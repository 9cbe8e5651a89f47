//! Failures on demand, asked for through verbs that only this store serves.

use super::MemoryStorage;
use crate::Opened;
use dispatch_contracts::fault::CANCELLED;
use dispatch_contracts::{Empty, Fault, Limits, Mode, NoFrame, Verb};
use dispatch_sdk::Call;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Makes one opened [`MemoryStorage`] fail or hold its commits.
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

pub(super) struct SetFaults;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct SetFaultsParams {
    fail: Option<String>,
    lose: Option<String>,
    hold: Option<bool>,
    forget: bool,
}

impl Verb for SetFaults {
    type Params = SetFaultsParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "memory_storage.v1/set_faults";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

pub(super) struct WaitHeld;

#[derive(Serialize, Deserialize)]
pub(super) struct WaitHeldParams {
    n: usize,
}

impl Verb for WaitHeld {
    type Params = WaitHeldParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "memory_storage.v1/wait_held";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

#[derive(Default)]
pub(super) struct Faults {
    state: Mutex<FaultsState>,
    changed: Notify,
}

#[derive(Default)]
struct FaultsState {
    fail: VecDeque<Failing>,
    holding: bool,
    held: usize,
}

/// What becomes of a commit.
enum Failing {
    Unwritten { code: String },
    Written { code: String },
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, FaultsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, f: impl FnOnce(&mut FaultsState) -> T) -> T {
        let result = f(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    async fn wait(&self, until: impl Fn(&FaultsState) -> bool) {
        loop {
            let changed = self.changed.notified();
            if until(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Waits while commits are held, then fails if that was asked for; `Some` = what to answer once it is written.
    pub(super) async fn before_commit(&self, call: &Call) -> Result<Option<Fault>, Fault> {
        let _held = Held::new(self);
        tokio::select! {
            () = self.wait(|state| !state.holding) => {}
            () = call.cancelled() => return Err(Fault::new(CANCELLED, "the held commit was cancelled")),
        }
        match self.lock().fail.pop_front() {
            Some(Failing::Unwritten { code }) => {
                Err(Fault::new(&code, "the test made this commit fail; nothing was written"))
            }
            Some(Failing::Written { code }) => {
                Ok(Some(Fault::new(&code, "the test lost the reply of this commit; it was written")))
            }
            None => Ok(None),
        }
    }
}

/// A commit that waits; counted out again even if its call is dropped.
struct Held<'a>(&'a Faults);

impl<'a> Held<'a> {
    fn new(faults: &'a Faults) -> Self {
        faults.change(|state| state.held += 1);
        Self(faults)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.held -= 1);
    }
}

impl MemoryStorage {
    pub(super) async fn set_faults(
        self: Arc<Self>,
        _call: Call,
        params: SetFaultsParams,
    ) -> Result<Empty, Fault> {
        self.faults.change(|state| {
            if params.forget {
                state.fail.clear();
            }
            state.fail.extend(params.fail.map(|code| Failing::Unwritten { code }));
            state.fail.extend(params.lose.map(|code| Failing::Written { code }));
            state.holding = params.hold.unwrap_or(state.holding);
        });
        Ok(Empty {})
    }

    pub(super) async fn wait_held(
        self: Arc<Self>,
        _call: Call,
        params: WaitHeldParams,
    ) -> Result<Empty, Fault> {
        self.faults.wait(|state| state.holding && state.held >= params.n).await;
        Ok(Empty {})
    }
}
