//! The conversations that this process runs a turn in or watches.

use crate::conv::{Conv, Turn};
use crate::counts::{Counted, Counts};
use crate::large_frames::LargeFrames;
use crate::watcher::Watcher;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locked before a conversation's own lock, never after it.
#[derive(Debug, Default)]
pub(crate) struct Convs {
    open: Mutex<HashMap<String, Arc<Conv>>>,
    pub(crate) counts: Counts,
    pub(crate) large_frames: LargeFrames,
}

impl Convs {
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Conv>> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Conv>> {
        self.lock().values().cloned().collect()
    }

    /// Puts a turn that was just begun or adopted in place; `None` when this process runs it already.
    pub(crate) fn install(&self, id: &str, turn: Turn) -> Option<Arc<Conv>> {
        let mut open = self.lock();
        let conv = entry(&mut open, id);
        conv.install(turn).then_some(conv)
    }

    /// Whether this process runs the turn.
    pub(crate) fn runs(&self, id: &str, turn_id: &str) -> bool {
        self.get(id).is_some_and(|conv| conv.writer(turn_id).is_some())
    }

    /// Whether somebody watches a conversation in which this process runs no turn.
    pub(crate) fn has_idle_watchers(&self) -> bool {
        self.lock().values().any(|conv| conv.has_idle_watchers())
    }

    /// Whoever watches one of those reads what it does not have.
    pub(crate) fn all_idle_changed(&self) {
        self.lock().values().for_each(|conv| conv.changed());
    }

    /// Whether this process runs any turn.
    pub(crate) fn runs_any(&self) -> bool {
        self.lock().values().any(|conv| conv.runs_a_turn())
    }

    /// Registers a watcher; it is taken out when what comes back is dropped.
    pub(crate) fn watch(self: &Arc<Self>, id: &str) -> Watching {
        let watcher = Watcher::new();
        let mut open = self.lock();
        let conv = entry(&mut open, id);
        conv.add_watcher(Arc::clone(&watcher));
        Watching { convs: Arc::clone(self), conv, watcher, _counted: self.counts.watcher() }
    }

    /// Forgets the conversation if nobody needs it.
    pub(crate) fn release(&self, conv: &Conv) {
        let mut open = self.lock();
        if open.get(conv.id()).is_some_and(|conv| conv.is_unused()) {
            open.remove(conv.id());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Conv>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(open: &mut HashMap<String, Arc<Conv>>, id: &str) -> Arc<Conv> {
    Arc::clone(open.entry(id.to_owned()).or_insert_with(|| Arc::new(Conv::new(id))))
}

/// A registered watcher.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) convs: Arc<Convs>,
    pub(crate) conv: Arc<Conv>,
    pub(crate) watcher: Arc<Watcher>,
    _counted: Counted,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.conv.remove_watcher(&self.watcher);
        self.convs.release(&self.conv);
    }
}
