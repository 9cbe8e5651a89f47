//! Where a running turn is: its step, and what it waits for now, for whoever asks from outside.
//!
//! The turn notes each wait when it begins and takes it back when it ends, in whatever way. It must not know who asks.

use dispatch_contracts::kernel::{Wait, WaitOn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of one turn; clones are the same state.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    step_idx: Option<u32>,
    /// In the order they began; at most one for each tool that runs at once, and a few.
    waits: Vec<Open>,
    n_begun: u64,
}

#[derive(Debug)]
struct Open {
    id: u64,
    on: WaitOn,
    name: String,
    tool_call_id: Option<String>,
    began_at: u64,
}

impl Progress {
    /// The state of a turn that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Position of the step under way, from 0; `None` before the first.
    pub fn step_idx(&self) -> Option<u32> {
        self.state().step_idx
    }

    /// What the turn waits for, the longest first; `now_ms` is read from the clock of the turn's ports.
    pub fn waits(&self, now_ms: u64) -> Vec<Wait> {
        let state = self.state();
        let waits = state.waits.iter().map(|open| Wait {
            on: open.on,
            name: open.name.clone(),
            tool_call_id: open.tool_call_id.clone(),
            since_ms: now_ms.saturating_sub(open.began_at),
        });
        waits.collect()
    }

    pub(crate) fn enter_step(&self, step_idx: u32) {
        self.state().step_idx = Some(step_idx);
    }

    /// Notes a wait until the answer is dropped.
    #[must_use = "the wait is over when this is dropped"]
    pub fn wait(&self, now_ms: u64, on: WaitOn, name: &str, tool_call_id: Option<&str>) -> Waiting {
        let mut state = self.state();
        let id = state.n_begun;
        state.n_begun += 1;
        let (name, tool_call_id) = (name.to_owned(), tool_call_id.map(str::to_owned));
        state.waits.push(Open { id, on, name, tool_call_id, began_at: now_ms });
        Waiting { progress: self.clone(), id }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait under way.
#[derive(Debug)]
pub struct Waiting {
    progress: Progress,
    id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.progress.state().waits.retain(|open| open.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_the_order_they_began_and_gone_when_they_end() {
        let progress = Progress::new();
        assert_eq!((progress.step_idx(), progress.waits(9)), (None, Vec::new()));
        progress.enter_step(2);
        let first = progress.wait(10, WaitOn::Tool, "shell", Some("call_1"));
        let second = progress.wait(15, WaitOn::Commit, "", None);
        let tool = Wait {
            on: WaitOn::Tool,
            name: "shell".to_owned(),
            tool_call_id: Some("call_1".to_owned()),
            since_ms: 10,
        };
        let commit = Wait { on: WaitOn::Commit, name: String::new(), tool_call_id: None, since_ms: 5 };
        assert_eq!((progress.step_idx(), progress.waits(20)), (Some(2), vec![tool, commit.clone()]));
        drop(first);
        assert_eq!(progress.waits(20), [commit]);
        drop(second);
        assert_eq!(progress.waits(20), []);
    }
}
