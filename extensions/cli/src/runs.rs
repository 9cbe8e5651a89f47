//! The `run`s that are shown now, by conversation: where a question can be put.

use crate::screen::Screen;
use dispatch_sdk::Call;
use dispatch_sdk::contracts::command::Tty;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// One `run` whose turn is shown.
pub(crate) struct Run {
    pub(crate) call: Arc<Call>,
    pub(crate) tty: Tty,
    /// Held while something is written that belongs together, and while a question is open.
    pub(crate) screen: Mutex<Screen>,
}

impl Run {
    pub(crate) fn new(call: Arc<Call>, tty: Tty) -> Self {
        let screen = Mutex::new(Screen::new(Arc::clone(&call), tty));
        Self { call, tty, screen }
    }
}

/// Every `run`.
#[derive(Default)]
pub(crate) struct Runs {
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// `run`s that wait for the id of their conversation.
    n_starting: usize,
    shown: HashMap<String, Arc<Run>>,
}

impl Runs {
    /// Announces a `run` whose conversation is not known yet; a question may come before the answer does.
    pub(crate) fn starting(self: &Arc<Self>) -> Starting {
        self.state.send_modify(|state| state.n_starting += 1);
        Starting { runs: Arc::clone(self) }
    }

    /// The `run` of a conversation, waiting for those that are starting.
    pub(crate) async fn of_conversation(&self, conversation_id: &str) -> Option<Arc<Run>> {
        let mut changes = self.state.subscribe();
        let known = |state: &State| state.n_starting == 0 || state.shown.contains_key(conversation_id);
        let state = changes.wait_for(known).await.ok()?;
        state.shown.get(conversation_id).cloned()
    }
}

/// A `run` that is starting, until dropped.
pub(crate) struct Starting {
    runs: Arc<Runs>,
}

impl Starting {
    /// The conversation is known: questions about it go to `run` until the answer is dropped.
    pub(crate) fn shown(self, conversation_id: &str, run: Arc<Run>) -> Shown {
        let key = conversation_id.to_owned();
        self.runs.state.send_modify(|state| drop(state.shown.insert(key.clone(), Arc::clone(&run))));
        Shown { runs: Arc::clone(&self.runs), key, run }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.runs.state.send_modify(|state| state.n_starting -= 1);
    }
}

/// A `run` that is shown, until dropped.
pub(crate) struct Shown {
    runs: Arc<Runs>,
    key: String,
    run: Arc<Run>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.runs.state.send_modify(|state| {
            // A later `run` of the same conversation may have taken the place.
            if state.shown.get(&self.key).is_some_and(|run| Arc::ptr_eq(run, &self.run)) {
                state.shown.remove(&self.key);
            }
        });
    }
}
