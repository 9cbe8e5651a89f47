//! The table of open calls, in shards so that callers do not meet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;

pub(crate) struct OpenCalls<C> {
    shards: Vec<Mutex<HashMap<u64, Arc<C>>>>,
}

impl<C> Default for OpenCalls<C> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl<C> OpenCalls<C> {
    pub(crate) fn insert(&self, id: u64, call: Arc<C>) {
        self.shard(id).insert(id, call);
    }

    pub(crate) fn remove(&self, id: u64) {
        self.shard(id).remove(&id);
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<C>> {
        self.shard(id).get(&id).cloned()
    }

    /// Every open call that `wanted` accepts; a snapshot.
    pub(crate) fn find(&self, wanted: impl Fn(&C) -> bool) -> Vec<Arc<C>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.values().filter(|call| wanted(call)).cloned());
        }
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Arc<C>>> {
        let index = usize::try_from(id % SHARDS as u64).expect("a remainder below 64");
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
