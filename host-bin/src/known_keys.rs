//! The keys that instances take, as their libraries tell them, and the check of what was set against them.
//!
//! It must not run a library.

use crate::config::Layers;
use crate::exit::Refusal;
use dispatch_compose::{Plan, PlannedInstance, Settings, SettingsKey};

/// `INSTANCE.KEY` of everything that can be set; what is not known is left out.
pub(crate) fn names(plan: &Plan) -> Vec<String> {
    let of = |instance: &PlannedInstance| {
        let keys = keys(instance).ok().flatten().unwrap_or_default();
        keys.into_iter().map(|key| format!("{}.{}", instance.id, key.name())).collect::<Vec<_>>()
    };
    plan.instances.iter().flat_map(of).filter(|name| !name.contains('*')).collect()
}

/// Holds every instance's merged configuration against what it takes; each misfit is told with the place that set it.
pub(crate) fn check(plan: &Plan, layers: &Layers) -> Result<(), Refusal> {
    let mut lines = Vec::new();
    for instance in &plan.instances {
        for misfit in instance.misfits() {
            let said = layers.assignments.iter().rev().find(|assignment| {
                let mut both = assignment.keys.iter().zip(&misfit.path);
                assignment.instance == instance.id && both.all(|(said, wrong)| said == wrong)
            });
            let place = said.map(|assignment| format!("{}: ", assignment.place)).unwrap_or_default();
            let help = if misfit.help.is_empty() { String::new() } else { format!("; {}", misfit.help) };
            lines.push(format!("{place}`{}`: {}{help}", instance.id, misfit.message));
        }
    }
    match lines.as_slice() {
        [] => Ok(()),
        lines => Err(Refusal::config(format!(
            "the configuration does not hold; `dispatch config keys INSTANCE` shows what can be set\n  {}",
            lines.join("\n  ")
        ))),
    }
}

/// The keys of one instance; `None` where the library tells none.
pub(crate) fn keys(instance: &PlannedInstance) -> Result<Option<Vec<SettingsKey>>, Refusal> {
    let Some(bytes) = &instance.settings else { return Ok(None) };
    let settings = Settings::parse(bytes).map_err(|e| {
        Refusal::config(format!(
            "the settings schema in {} cannot be read: {e}; build it again",
            instance.library.display()
        ))
    })?;
    Ok(Some(settings.keys()))
}
