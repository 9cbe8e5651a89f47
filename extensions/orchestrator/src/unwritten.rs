//! Ends of turns that the store did not take: told to whoever waits for them, and offered again until it takes them.
//!
//! It must not know what a turn did. A turn stays open in its log meanwhile. Whoever finds it open offers its
//! end before anything else is made of it: a start in its conversation, a stop, a sweep.

use crate::turn_table::Turn;
use dispatch_sdk::contracts::conversations::{Append, AppendParams};
use dispatch_sdk::contracts::fault::{CONFLICT, NOT_FOUND, UNAVAILABLE};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Fault, Host};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// Most ends that are kept to be offered again.
const UNWRITTEN_MAX: usize = 10_000;
/// Between two offers of one end.
const AGAIN_MS: u64 = 30_000;

/// The turns whose end is not in their log, and what whoever waits for it is told.
pub(crate) struct Unwritten {
    kept: watch::Sender<HashMap<String, Kept>>,
}

/// The end of a turn that is not in its log.
#[derive(Clone)]
struct Kept {
    /// What whoever waits for it is told.
    told: Fault,
    host: Host,
    append: Arc<AppendParams>,
}

impl Unwritten {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { kept: watch::Sender::new(HashMap::new()) })
    }

    /// Why the end of a turn is not written; `None` = it is, or the turn goes on.
    pub(crate) fn get(&self, turn_id: &str) -> Option<Fault> {
        self.kept.borrow().get(turn_id).map(|kept| kept.told.clone())
    }

    /// Turns without their end.
    pub(crate) fn len(&self) -> usize {
        self.kept.borrow().len()
    }

    /// Waits until the end of a turn is given up for the time being; for ever if it never is.
    pub(crate) async fn told(&self, turn_id: &str) -> Fault {
        let mut kept = self.kept.subscribe();
        // The sender is a field of `self`, so the channel cannot close while this is awaited.
        let told = kept.wait_for(|kept| kept.contains_key(turn_id)).await;
        match told.ok().and_then(|kept| Some(kept.get(turn_id)?.told.clone())) {
            Some(fault) => fault,
            None => std::future::pending().await,
        }
    }

    /// Tells whoever waits, and offers the end again from time to time for as long as this host runs.
    ///
    /// In the instance's runtime. Beyond [`UNWRITTEN_MAX`] it is only told in the log.
    pub(crate) fn keep(self: &Arc<Self>, host: Host, turn: &Turn, append: AppendParams, fault: &Fault) {
        let told = not_written(turn, fault);
        tracing::error!(
            turn_id = turn.turn_id,
            code = told.code,
            message = told.message,
            "a turn has no end in its log"
        );
        let fits = self.kept.send_if_modified(|kept| {
            let fits = kept.len() < UNWRITTEN_MAX;
            if fits {
                let end = Kept { told, host: host.clone(), append: Arc::new(append) };
                kept.insert(turn.turn_id.clone(), end);
            }
            fits
        });
        if fits {
            tokio::spawn(Arc::clone(self).offer_again(host, turn.turn_id.clone()));
        }
    }

    async fn offer_again(self: Arc<Self>, host: Host, turn_id: String) {
        loop {
            host.sleep(Duration::from_millis(AGAIN_MS)).await;
            match self.offer(&turn_id).await {
                Ok(_) => return,
                Err(fault) => {
                    tracing::debug!(turn_id, code = fault.code, "the end of a turn can still not be written");
                }
            }
        }
    }

    /// Offers the end of a turn now, if one is kept; whether it is written by that. False: there is none, or the store
    /// takes nothing more of this turn from here.
    ///
    /// Errors: why the store does not take it; it is offered again.
    pub(crate) async fn offer(&self, turn_id: &str) -> Result<bool, Fault> {
        let Some(Kept { host, append, .. }) = self.kept.borrow().get(turn_id).cloned() else {
            return Ok(false);
        };
        let written = match host.call(Append, &*append).await {
            Ok(_) => {
                tracing::info!(turn_id, "the end of a turn is written after all");
                true
            }
            Err(fault) if fault.is(CONFLICT) || fault.is(NOT_FOUND) => {
                tracing::info!(turn_id, code = fault.code, "a turn was given its end by another");
                false
            }
            Err(fault) => return Err(fault),
        };
        self.forget(turn_id);
        Ok(written)
    }

    /// The turn has its end.
    pub(crate) fn forget(&self, turn_id: &str) {
        self.kept.send_if_modified(|kept| kept.remove(turn_id).is_some());
    }
}

/// What was and was not kept. Its code is one that says "later": the same may succeed once the store writes again.
fn not_written(turn: &Turn, fault: &Fault) -> Fault {
    let kept_seq = turn.kept_seq.load(Ordering::Relaxed);
    let kept = match kept_seq {
        0 => "its input is kept".to_owned(),
        seq => format!("what came up to number {seq} is kept"),
    };
    let message = format!(
        "turn `{}` is over and its end could not be written down: {} (`{}`); {kept}, what was shown after that may be \
         lost; the end is written when the store takes it",
        turn.turn_id, fault.message, fault.code
    );
    let code = if fault.is(NO_SPACE) { NO_SPACE } else { UNAVAILABLE };
    Fault::new(code, message)
        .with_detail(json!({ "turn_id": turn.turn_id, "kept_seq": kept_seq, "code": fault.code }))
}
