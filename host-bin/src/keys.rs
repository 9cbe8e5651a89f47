//! `dispatch config keys`: every key that an instance takes, as its library tells it.
//!
//! It must not run a library, and it never shows a value that somebody set.

use crate::argv::Invocation;
use crate::compose::resolve_build;
use crate::dirs;
use crate::exit::Refusal;
use crate::known_keys::keys;
use crate::output::out;
use dispatch_compose::{PlannedInstance, SettingsKey, nearest};
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
