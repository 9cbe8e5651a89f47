//! The calls made out of one call: they keep it alive, are told what it is told, and end with it.

use super::state::{CallState, CancelReason, Children, ChildrenState};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

/// The call is over and takes no children.
pub(super) struct Over;

impl Children {
    /// Whether one is open.
    pub(super) fn any_open(&self) -> bool {
        !self.lock().open.is_empty()
    }

    /// How many there were by now.
    pub(super) fn made(&self) -> u64 {
        self.lock().made
    }

    /// Those that are open; a snapshot.
    pub(super) fn open(&self) -> Vec<Arc<CallState>> {
        self.lock().open.values().filter_map(Weak::upgrade).collect()
    }

    /// Those that are left at the end of the call.
    pub(super) fn close(&self) -> Vec<Arc<CallState>> {
        let mut state = self.lock();
        state.over = true;
        state.open.drain().filter_map(|(_, child)| child.upgrade()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, ChildrenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallState {
    /// Enters the call among those that end with its parent. If the parent was told to end, so is this call now.
    pub(super) fn enter_parent(self: &Arc<Self>) -> Result<(), Over> {
        let Some(parent) = &self.parent else { return Ok(()) };
        {
            let mut state = parent.children.lock();
            if state.over {
                return Err(Over);
            }
            state.open.insert(self.id, Arc::downgrade(self));
            state.made += 1;
        }
        parent.sign();
        // Whoever cancels the parent marks it first and reads its children then: one of the two sees the other.
        if let Some(reason) = parent.cancel_reason() {
            self.mark_cancelled(reason);
        }
        Ok(())
    }

    /// The call is over: its parent has one less. Called once, when its entry is taken out.
    pub(super) fn leave_parent(&self) {
        if let Some(parent) = &self.parent {
            parent.children.lock().open.remove(&self.id);
            parent.sign();
        }
    }

    /// The call is over: what was made out of it is told to end as well.
    pub(super) fn end_children(&self) {
        let reason = self.cancel_reason().unwrap_or(CancelReason::Caller);
        for child in self.children.close() {
            child.cancel_tree(reason);
        }
    }
}
