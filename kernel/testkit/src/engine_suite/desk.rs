//! Whoever runs turns, as the suite plays it: answers questions by a script, and writes everything down.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::UNKNOWN_VERB;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The turn of the suite.
pub(super) const TURN: &str = "t";

/// What happens in one turn.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Answers of the first commits; the others are written.
    pub(super) faults: VecDeque<Fault>,
    /// Answers of the first questions for steering; the others are empty.
    pub(super) steering: VecDeque<Value>,
    /// The turn is stopped at its first frame or commit.
    pub(super) stop_at_first_sign: bool,
}

#[derive(Default)]
struct Seen {
    script: Script,
    frames: Vec<String>,
    commits: Vec<Value>,
}

/// Whoever runs the turn.
pub struct Desk {
    seen: Mutex<Seen>,
    stop_wished: watch::Sender<bool>,
}

impl Desk {
    pub(super) fn new(script: Script) -> Arc<Self> {
        let seen = Mutex::new(Seen { script, ..Seen::default() });
        Arc::new(Self { seen, stop_wished: watch::Sender::new(false) })
    }

    /// A frame of the turn came.
    pub fn frame(&self, kind: &str) {
        self.seen().frames.push(kind.to_owned());
        self.sign();
    }

    /// Answers `verb`, without its contract: `commit`, `ask`, `steering`, `boundary`, `history`.
    pub fn answer(&self, verb: &str, asked: Value) -> Result<Value, Fault> {
        match verb {
            "commit" => {
                let mut seen = self.seen();
                seen.commits.push(asked);
                let fault = seen.script.faults.pop_front();
                drop(seen);
                self.sign();
                fault.map_or(Ok(json!({})), Err)
            }
            "steering" => Ok(self.seen().script.steering.pop_front().unwrap_or(json!({}))),
            "ask" => Ok(json!({ "decision": "deny", "reason": "the suite says no" })),
            "boundary" => Ok(json!({})),
            "history" => Ok(json!({ "messages": [{ "role": "user", "parts": [] }] })),
            other => Err(Fault::new(UNKNOWN_VERB, format!("the suite serves no `{other}`"))),
        }
    }

    /// Ready when the turn is to be stopped; never if it is not.
    pub async fn stop_wished(&self) {
        // The sender is a field of `self`, so the channel cannot close while this is awaited.
        let _ = self.stop_wished.subscribe().wait_for(|wished| *wished).await;
    }

    pub(super) fn was_stopped(&self) -> bool {
        *self.stop_wished.borrow()
    }

    pub(super) fn frames(&self) -> Vec<String> {
        self.seen().frames.clone()
    }

    pub(super) fn commits(&self) -> Vec<Value> {
        self.seen().commits.clone()
    }

    pub(super) fn events(&self) -> Vec<Value> {
        self.of_commits("events")
    }

    pub(super) fn messages(&self) -> Vec<Value> {
        self.of_commits("messages")
    }

    fn of_commits(&self, field: &str) -> Vec<Value> {
        let lists = self.commits();
        lists.iter().filter_map(|commit| commit[field].as_array()).flatten().cloned().collect()
    }

    fn sign(&self) {
        if self.seen().script.stop_at_first_sign {
            self.stop_wished.send_replace(true);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
