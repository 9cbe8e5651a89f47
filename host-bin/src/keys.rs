//! `dispatch config keys`: every key that an instance takes, as its library tells it, and the check of what was set.
//!
//! It must not run a library, and it never shows a value that somebody set.

use crate::argv::Invocation;
use crate::compose::resolve_build;
use crate::config::Layers;
use crate::dirs;
use crate::exit::Refusal;
use crate::ext::out;
use dispatch_compose::{Plan, PlannedInstance, Settings, SettingsKey, nearest};
use serde_json::{Value, json};

/// Prints the keys of one instance, or of all of the build.
pub(crate) fn run(invocation: &Invocation, instance: Option<&str>, as_json: bool) -> Result<u8, Refusal> {
    // How they are configured by now does not matter, and need not hold.
    let plan = resolve_build(invocation, dirs::make(&invocation.environment)?, None)?.plan;
    let shown = match instance {
        None => plan.instances.iter().collect(),
        Some(id) => vec![plan.instance(id).ok_or_else(|| {
            let near = nearest(id, plan.instances.iter().map(|known| known.id.as_str()));
            let near = near.map_or_else(
                || "; `dispatch ext list` shows them".to_owned(),
                |near| format!("; did you mean `{near}`?"),
            );
            Refusal::usage(format!("the build has no instance `{id}`{near}"))
        })?],
    };
    out(&if as_json { in_json(&shown)? } else { in_text(&shown)? })
}

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

/// The keys; `None` where the library tells none.
fn keys(instance: &PlannedInstance) -> Result<Option<Vec<SettingsKey>>, Refusal> {
    let Some(bytes) = &instance.settings else { return Ok(None) };
    let settings = Settings::parse(bytes).map_err(|e| {
        Refusal::config(format!(
            "the settings schema in {} cannot be read: {e}; build it again",
            instance.library.display()
        ))
    })?;
    Ok(Some(settings.keys()))
}

fn in_text(shown: &[&PlannedInstance]) -> Result<String, Refusal> {
    let mut text = String::new();
    for instance in shown {
        text.push_str(&instance.id);
        text.push('\n');
        match keys(instance)? {
            None => text.push_str("  its library tells no keys; it was built before there was a way to\n"),
            Some(keys) if keys.is_empty() => text.push_str("  no keys\n"),
            Some(keys) => keys.iter().for_each(|key| text.push_str(&line(key))),
        }
    }
    Ok(text)
}

fn line(key: &SettingsKey) -> String {
    let default = key.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let reload = if key.reload { "; a running host takes it over at SIGHUP" } else { "" };
    let secret = if key.secret { "; a secret" } else { "" };
    format!("  {}{default}\n      {}{secret}{reload}\n      {}\n", key.name(), key.shape(), key.meaning)
}

fn in_json(shown: &[&PlannedInstance]) -> Result<String, Refusal> {
    let mut all = Vec::new();
    for instance in shown {
        for key in keys(instance)?.into_iter().flatten() {
            all.push(entry(&instance.id, &key));
        }
    }
    Ok(format!("{:#}\n", json!({ "keys": all })))
}

fn entry(instance: &str, key: &SettingsKey) -> Value {
    json!({
        "key": format!("{instance}.{}", key.name()),
        "instance": instance,
        "kind": key.kind,
        "unit": key.unit,
        "default": key.default,
        "min": key.min,
        "max": key.max,
        "values": key.values,
        "meaning": key.meaning,
        "reload": key.reload,
        "secret": key.secret,
    })
}
