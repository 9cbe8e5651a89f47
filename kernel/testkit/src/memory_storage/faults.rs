//! Failures on demand, asked for through verbs that only this store serves.

use dispatch_contracts::fault::CANCELLED;
use dispatch_contracts::{Empty, Fault, Limits, Mode, NoFrame, Verb};
use dispatch_sdk::Call;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub(super) struct SetFaults;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct SetFaultsParams {
    pub(super) fail: Option<String>,
    pub(super) lose: Option<String>,
    pub(super) hold: Option<bool>,
    pub(super) forget: bool,
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
    pub(super) n: usize,
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

    pub(super) fn set(&self, params: SetFaultsParams) {
        self.change(|state| {
            if params.forget {
                state.fail.clear();
            }
            state.fail.extend(params.fail.map(|code| Failing::Unwritten { code }));
            state.fail.extend(params.lose.map(|code| Failing::Written { code }));
            state.holding = params.hold.unwrap_or(state.holding);
        });
    }

    /// Waits until at least `n` commits are held.
    pub(super) async fn held(&self, n: usize) {
        self.wait(|state| state.holding && state.held >= n).await;
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
