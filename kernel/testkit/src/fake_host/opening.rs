//! From an extension's type to an opened instance.

use super::handle::host_object;
use super::host::FakeHost;
use super::opened::Opened;
use super::shared::lock;
use super::slot::{Life, Slot};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use dispatch_contracts::kernel::OpenParams;
use dispatch_sdk::Extension;
use dispatch_wire::result_from_abi;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

impl FakeHost {
    /// Opens and starts an instance of `E`; from then on its verbs can be called by the others.
    ///
    /// Errors: `invalid` if `instance` is open already; whatever the extension's `open` or `start` answers.
    pub async fn open<E: Extension>(&self, instance: &str, config: Value) -> Result<Opened, Fault> {
        let params = OpenParams {
            instance: instance.to_owned(),
            config,
            dirs: self.dirs(),
            workers: 1,
            topic_queue_max: 4096,
        };
        let shared = Arc::clone(self.shared());
        if shared.slot(instance).is_some() {
            return Err(Fault::new(INVALID, format!("`{instance}` is open already; stop it first")));
        }
        let life = Arc::<Life>::default();
        let object = host_object(&shared, instance, &life);
        let config = serde_json::to_vec(&params).expect("open parameters always encode");
        let opened = shared
            .on_executor("`open`", move || {
                std::future::ready(dispatch_sdk::__private::open::<E>(object, config.into()))
            })
            .await?;
        let object = result_from_abi(opened)?;
        let slot = Arc::new(Slot { id: instance.to_owned(), object, started: OnceLock::new(), life });
        lock(&shared.slots).insert(instance.to_owned(), Arc::clone(&slot));
        match self.start(&slot).await {
            Ok(()) => Ok(Opened::new(self.clone(), slot)),
            Err(fault) => {
                shared.remove(instance);
                Err(fault)
            }
        }
    }

    async fn start(&self, slot: &Arc<Slot>) -> Result<(), Fault> {
        let starting = Arc::clone(slot);
        let started = self.shared().on_executor("`start`", move || starting.object.start()).await?;
        slot.has_started(&result_from_abi(started)?)
    }
}
