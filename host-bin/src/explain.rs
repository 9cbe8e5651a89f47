//! `dispatch config explain`: each key that is set, its value, which layer won and which it overrode.
//!
//! It must not show a secret: it reads no variable's content, only whether it is set, and hides a value by what its key
//! is about.

use crate::argv::{Environment, Invocation};
use crate::compose::compose;
use crate::config::{Assignment, Layers};
use crate::exit::Refusal;
use crate::key_kind;
use crate::output::out;
use crate::secrets::variable;
use dispatch_compose::{Plan, nearest};
use serde_json::{Map, Value, json};

/// One key, and who said what of it.
#[derive(Debug)]
struct Explained<'a> {
    instance: &'a str,
    keys: Vec<&'a str>,
    value: &'a Value,
    winner: &'a Assignment,
    /// The latest first.
    overridden: Vec<&'a Assignment>,
}

/// Prints what `key`, or everything, is made of.
pub(crate) fn run(invocation: &Invocation, key: Option<&str>, as_json: bool) -> Result<u8, Refusal> {
    let composed = compose(invocation, None)?;
    composed.tell_notes();
    let shown = chosen(&composed.plan, explain(&composed.plan, &composed.layers), key)?;
    let environment = &invocation.environment;
    out(&if as_json { in_json(&shown, environment) } else { in_text(&shown, environment) })
}

/// Every value of the merged configuration, instances and keys in order.
fn explain<'a>(plan: &'a Plan, layers: &'a Layers) -> Vec<Explained<'a>> {
    let mut all = Vec::new();
    for instance in &plan.instances {
        let of_instance = || layers.assignments.iter().filter(|a| a.instance == instance.id);
        each_value(&instance.config, &mut Vec::new(), &mut |keys, value| {
            // An empty table takes nothing away from one that is there.
            let speaks = |a: &&Assignment| touches(a, keys) && (!is_empty(&a.value) || is_empty(value));
            let mut said: Vec<&Assignment> = of_instance().filter(speaks).collect();
            // Whatever the merged configuration holds, some layer has said.
            let Some(winner) = said.pop() else { return };
            said.reverse();
            let (instance, keys) = (instance.id.as_str(), keys.to_vec());
            all.push(Explained { instance, keys, value, winner, overridden: said });
        });
    }
    all
}

/// Visits every value that is no table, every empty table and every `{ env = "NAME" }`.
fn each_value<'a>(config: &'a Value, keys: &mut Vec<&'a str>, visit: &mut impl FnMut(&[&'a str], &'a Value)) {
    match config.as_object() {
        Some(table) if variable(config).is_none() && (!table.is_empty() || keys.is_empty()) => {
            for (key, value) in table {
                keys.push(key);
                each_value(value, keys, visit);
                keys.pop();
            }
        }
        _ => visit(keys, config),
    }
}

/// Whether an assignment had a say in the value at `keys`: it set that key, one above it, or one below.
fn touches(assignment: &Assignment, keys: &[&str]) -> bool {
    let said = &assignment.keys;
    if !said.iter().zip(keys).all(|(said, key)| said == key) {
        return false;
    }
    // A table above the key speaks of it only where it holds it, or where there is no room for it.
    said.len() >= keys.len() || !assignment.value.is_object() || below(assignment, keys).is_some()
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// What an assignment above `keys` says of them.
fn below<'a>(assignment: &'a Assignment, keys: &[&str]) -> Option<&'a Value> {
    let rest = keys.get(assignment.keys.len()..)?;
    rest.iter().try_fold(&assignment.value, |value, key| value.get(key))
}

/// Those that `key` means.
fn chosen<'a>(
    plan: &Plan,
    all: Vec<Explained<'a>>,
    key: Option<&str>,
) -> Result<Vec<Explained<'a>>, Refusal> {
    let Some(key) = key else { return Ok(all) };
    let wanted: Vec<&str> = key.split('.').collect();
    let (instance, keys) = wanted.split_first().map_or((key, &[][..]), |(first, rest)| (*first, rest));
    if plan.instance(instance).is_none() {
        let known = plan.instances.iter().map(|instance| instance.id.as_str());
        let near = nearest(instance, known).map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_else(|| "; `dispatch config explain` shows all that is set".to_owned());
        return Err(Refusal::usage(format!("the build has no instance `{instance}`{near}")));
    }
    let names: Vec<String> = all.iter().filter(|e| e.instance == instance).map(Explained::name).collect();
    let found: Vec<Explained<'a>> =
        all.into_iter().filter(|e| e.instance == instance && e.keys.starts_with(keys)).collect();
    if found.is_empty() && !keys.is_empty() {
        let near = nearest(key, names.iter().map(String::as_str));
        let near = near
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_else(|| format!("; `dispatch config explain {instance}` shows what is set there"));
        return Err(Refusal::usage(format!("nothing sets `{key}`{near}")));
    }
    Ok(found)
}

impl Explained<'_> {
    fn name(&self) -> String {
        format!("{}.{}", self.instance, self.keys.join("."))
    }
}

fn in_text(shown: &[Explained<'_>], environment: &Environment) -> String {
    if shown.is_empty() {
        return "nothing is set\n".to_owned();
    }
    let mut text = String::new();
    for explained in shown {
        let secret = variable(explained.value).map(|name| match environment.get(name) {
            Some(_) => "  (set)",
            None => "  (not set)",
        });
        let value = in_toml(&shown_value(explained, explained.value));
        text.push_str(&format!("{} = {value}{}\n", explained.name(), secret.unwrap_or_default()));
        let winner = explained.winner;
        text.push_str(&format!("    from {:<8} {}\n", winner.layer.name(), winner.place));
        for assignment in &explained.overridden {
            let (layer, place) = (assignment.layer.name(), &assignment.place);
            text.push_str(&format!(
                "    over {layer:<8} {place}: {}\n",
                in_toml(&shown_value(explained, &said(assignment, explained)))
            ));
        }
    }
    text
}

fn in_json(shown: &[Explained<'_>], environment: &Environment) -> String {
    let entry = |explained: &Explained<'_>| {
        let overrides: Vec<Value> = explained
            .overridden
            .iter()
            .map(|a| json!({ "layer": a.layer.name(), "place": a.place, "value": shown_value(explained, &said(a, explained)) }))
            .collect();
        let mut entry = json!({
            "key": explained.name(),
            "instance": explained.instance,
            "value": shown_value(explained, explained.value),
            "layer": explained.winner.layer.name(),
            "place": explained.winner.place,
            "overrides": overrides,
        });
        if let Some(name) = variable(explained.value) {
            entry["variable_set"] = json!(environment.get(name).is_some());
        }
        entry
    };
    let keys: Vec<Value> = shown.iter().map(entry).collect();
    format!("{:#}\n", json!({ "keys": keys }))
}

/// A value of the explained key without what is nobody's to see, whichever layer it comes from.
fn shown_value(explained: &Explained<'_>, value: &Value) -> Value {
    key_kind::shown(&explained.keys, value)
}

/// What an assignment would have made of the explained key, had it won.
fn said(assignment: &Assignment, explained: &Explained<'_>) -> Value {
    match assignment.keys.get(explained.keys.len()..) {
        // It set a key below: a table.
        Some(deeper) => {
            deeper.iter().rev().fold(assignment.value.clone(), |value, key| json!({ key.as_str(): value }))
        }
        None => below(assignment, &explained.keys).unwrap_or(&assignment.value).clone(),
    }
}

fn in_toml(value: &Value) -> String {
    match value {
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let entries: Vec<String> =
                table.iter().map(|(key, value)| format!("{key} = {}", in_toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
