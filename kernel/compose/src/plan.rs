//! A resolved build: which instances are activated, in which order, and who answers which contract.
//!
//! It must not know how an instance is loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dispatch_contracts::kernel::{Dirs, OpenParams};
use serde_json::Value;

use crate::build_list::Policy;
use crate::contract_kind::ContractKind;
use crate::manifest::{Capability, Contributes, Manifest, Placement};
use crate::settings::{Misfit, Settings};

/// A build without contradictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The instances in activation order: each after all that it depends on.
    pub instances: Vec<PlannedInstance>,
    /// Single-valued contract to the id of the instance that answers it.
    pub binds: BTreeMap<String, String>,
    /// What tools may do.
    pub policy: Policy,
}

/// One instance, ready to be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedInstance {
    /// The instance's id, unique in the plan.
    pub id: String,
    /// The id of the extension it is made from.
    pub from: String,
    /// What the extension says about itself.
    pub manifest: Manifest,
    /// The file it is loaded from.
    pub library: PathBuf,
    /// Where it runs.
    pub placement: Placement,
    /// Its configuration, an object.
    pub config: Value,
    /// The schema of its configuration, unread; [`Settings::parse`] reads it. Absent = its library tells none.
    ///
    /// [`Settings::parse`]: crate::Settings::parse
    pub settings: Option<Arc<[u8]>>,
    /// The capabilities it holds.
    pub grants: Vec<Capability>,
    /// Whether the host refuses to run without it.
    pub required: bool,
    /// Threads of its runtime.
    pub workers: u32,
    /// The instances that answer what it `requires`; without one of them it is disabled. In plan order.
    pub dependencies: Vec<String>,
    /// The instances that answer what it lists as `optional` and are started before it. In plan order.
    pub optional_dependencies: Vec<String>,
    /// The names it contributes, `{instance}` filled in; a trailing `*` stays.
    pub contributes: Contributes,
}

/// Who answers a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// One instance.
    Instance(&'a str),
    /// The kernel, by itself or by the name after `#`.
    Kernel,
    /// The instance that made the call which is being served.
    Caller,
    /// Nobody in this plan.
    Nobody,
}

impl PlannedInstance {
    /// What it is opened with by a host of these directories; a key of the build that an instance hears of goes in here.
    pub fn open_params(&self, dirs: &Dirs) -> OpenParams {
        OpenParams {
            instance: self.id.clone(),
            config: self.config.clone(),
            dirs: dirs.clone(),
            workers: usize::try_from(self.workers).unwrap_or(1),
            topic_queue_max: usize::try_from(self.manifest.limits.topic_queue_max).unwrap_or(1),
        }
    }

    /// What does not fit in its configuration as it stands now; empty also where nothing is known of it.
    pub fn misfits(&self) -> Vec<Misfit> {
        misfits(self.settings.as_deref(), &self.config)
    }

    /// The contracts it provides of which one instance of a build is bound.
    pub fn single_contracts(&self) -> impl Iterator<Item = &str> {
        let provides = self.manifest.provides.iter().map(String::as_str);
        provides.filter(|contract| ContractKind::of(contract) == ContractKind::Single)
    }

    /// The paths, as configured, at which it keeps what is nobody's place of work.
    pub fn kept_paths(&self) -> Vec<&str> {
        let is_set = self.config.as_object().is_some_and(|table| !table.is_empty());
        let settings =
            self.settings.as_deref().filter(|_| is_set).and_then(|bytes| Settings::parse(bytes).ok());
        let keys = settings.map(|settings| settings.keys()).unwrap_or_default();
        let value = |path: &[String]| path.iter().try_fold(&self.config, |at, key| at.get(key))?.as_str();
        keys.iter().filter(|key| key.kept).filter_map(|key| value(&key.path)).collect()
    }
}

/// What does not fit in a configuration, if its extension tells what would. Nothing set always fits.
pub(crate) fn misfits(settings: Option<&[u8]>, config: &Value) -> Vec<Misfit> {
    let Some(settings) = settings.filter(|_| config.as_object().is_some_and(|table| !table.is_empty()))
    else {
        return Vec::new();
    };
    match Settings::parse(settings) {
        Ok(settings) => settings.misfits(config),
        Err(e) => {
            let message = format!("its settings schema cannot be read: {e}");
            vec![Misfit { path: Vec::new(), message, help: "build the extension again".to_owned() }]
        }
    }
}

impl Plan {
    /// Finds an instance by id.
    pub fn instance(&self, id: &str) -> Option<&PlannedInstance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// Says who answers a contract.
    pub fn answer(&self, contract: &str) -> Answer<'_> {
        match ContractKind::of(contract) {
            ContractKind::Kernel | ContractKind::ByName => Answer::Kernel,
            ContractKind::Caller => Answer::Caller,
            ContractKind::Single => {
                self.binds.get(contract).map_or(Answer::Nobody, |id| Answer::Instance(id))
            }
        }
    }
}
