//! One opened instance, as the host holds it.

use dispatch_abi::InstanceObj;
use dispatch_contracts::Contributions;
use dispatch_contracts::Fault;
use dispatch_contracts::contract_of;
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::kernel::{Started, VerbInfo};
use dispatch_wire::decode;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

pub(super) struct Slot {
    pub(super) id: String,
    pub(super) object: InstanceObj,
    /// Empty until the instance has started: until then nobody can call it.
    pub(super) started: OnceLock<Started>,
    pub(super) life: Arc<Life>,
}

/// Whether an instance has been killed; its host object asks before it does anything for it.
#[derive(Default)]
pub(super) struct Life {
    killed: RwLock<bool>,
}

impl Life {
    /// Holds the instance alive for as long as what comes back; `None` = it has been killed.
    pub(super) fn hold(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let killed = self.killed.read().unwrap_or_else(PoisonError::into_inner);
        (!*killed).then_some(killed)
    }

    /// What the host has been asked for is asked for whole; nothing more is after this.
    pub(super) fn end(&self) {
        *self.killed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl Slot {
    pub(super) fn has_started(&self, bytes: &[u8]) -> Result<(), Fault> {
        let started = decode(BROKEN, format_args!("what the start of `{}` answered", self.id), bytes)?;
        self.started.set(started).map_err(|_| Fault::new(BROKEN, format!("`{}` started twice", self.id)))
    }

    pub(super) fn verb(&self, name: &str) -> Option<VerbInfo> {
        self.started.get()?.verbs.iter().find(|verb| verb.name == name).cloned()
    }

    pub(super) fn provides(&self, contract: &str) -> bool {
        self.started
            .get()
            .is_some_and(|started| started.verbs.iter().any(|verb| contract_of(&verb.name) == contract))
    }

    pub(super) fn contributes(&self) -> Contributions {
        self.started.get().map(|started| started.contributes.clone()).unwrap_or_default()
    }
}
