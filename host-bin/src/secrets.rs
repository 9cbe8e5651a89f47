//! Secrets: a value `{ env = "NAME" }` becomes the variable's content, for instances that hold `secret:NAME` alone.

use crate::argv::Environment;
use crate::exit::Refusal;
use dispatch_compose::{Capability, Plan};
use serde_json::Value;
use std::collections::BTreeSet;

/// Puts the secrets into the plan. A variable that is not set takes its key, or its place in a list, away.
pub(crate) fn resolve(plan: &mut Plan, environment: &Environment) -> Result<(), Refusal> {
    for instance in &mut plan.instances {
        let id = instance.id.clone();
        fill(&mut instance.config, &instance.grants, &id, environment)?;
    }
    Ok(())
}

/// Every variable that a value names.
pub(crate) fn names(value: &Value, named: &mut BTreeSet<String>) {
    named.extend(variable(value).map(str::to_owned));
    match value {
        Value::Object(map) => map.values().for_each(|inner| names(inner, named)),
        Value::Array(items) => items.iter().for_each(|item| names(item, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill(
    value: &mut Value,
    grants: &[Capability],
    id: &str,
    environment: &Environment,
) -> Result<(), Refusal> {
    match value {
        Value::Object(map) => {
            let mut unset = Vec::new();
            for (key, inner) in map.iter_mut() {
                if !fill_one(inner, key, grants, id, environment)? {
                    unset.push(key.clone());
                }
            }
            for key in unset {
                map.remove(&key);
            }
        }
        Value::Array(items) => {
            let mut set = Vec::with_capacity(items.len());
            for (n, mut item) in std::mem::take(items).into_iter().enumerate() {
                if fill_one(&mut item, &n.to_string(), grants, id, environment)? {
                    set.push(item);
                }
            }
            *items = set;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// Puts in what stands at one key; false if that is a variable which is not set.
fn fill_one(
    inner: &mut Value,
    key: &str,
    grants: &[Capability],
    id: &str,
    environment: &Environment,
) -> Result<bool, Refusal> {
    let Some(name) = variable(inner).map(str::to_owned) else {
        fill(inner, grants, id, environment)?;
        return Ok(true);
    };
    if !grants.iter().any(|grant| grant.covers_secret(&name)) {
        return Err(Refusal::config(format!(
            "the configuration of `{id}` names the variable `{name}` for `{key}`, but the instance does not hold `secret:{name}`; its manifest must list it, and the build's `grant` must not leave it out"
        )));
    }
    let Some(secret) = environment.get(&name) else {
        tracing::info!(instance = id, key, variable = name, "the variable is not set");
        return Ok(false);
    };
    *inner = Value::String(secret.to_owned());
    Ok(true)
}

/// The name in `{ env = "NAME" }`.
pub(crate) fn variable(value: &Value) -> Option<&str> {
    let map = value.as_object()?;
    if map.len() != 1 {
        return None;
    }
    map.get("env")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_compose::Manifest;
    use serde_json::json;
    use std::path::Path;

    fn grants() -> Vec<Capability> {
        let manifest =
            "id = \"toy\"\nversion = \"0.1.0\"\nsummary = \"A toy.\"\ncapabilities = [\"secret:KEY\"]\n";
        Manifest::parse(Path::new("extension.toml"), manifest.as_bytes()).unwrap().capabilities
    }

    fn filled(mut config: Value) -> Result<Value, String> {
        let environment = Environment::of(&[("KEY", "s3cret"), ("OTHER", "hidden")]);
        fill(&mut config, &grants(), "toy", &environment).map(|()| config).map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_variable_is_put_in_wherever_it_stands() {
        let config = json!({ "key": { "env": "KEY" }, "keys": [{ "env": "KEY" }, "plain", { "deep": { "env": "KEY" } }] });
        let expected = json!({ "key": "s3cret", "keys": ["s3cret", "plain", { "deep": "s3cret" }] });
        assert_eq!(filled(config), Ok(expected));
    }

    #[test]
    fn a_variable_that_the_instance_does_not_hold_is_refused_wherever_it_stands() {
        for config in [json!({ "key": { "env": "OTHER" } }), json!({ "keys": [{ "env": "OTHER" }] })] {
            let message = filled(config).unwrap_err();
            assert!(
                message.contains("does not hold `secret:OTHER`") && !message.contains("hidden"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_variable_that_is_not_set_takes_its_key_away() {
        let mut config = json!({ "key": { "env": "KEY" }, "keys": [{ "env": "KEY" }], "kept": 1 });
        assert!(fill(&mut config, &grants(), "toy", &Environment::of(&[])).is_ok());
        assert_eq!(config, json!({ "keys": [], "kept": 1 }));
    }
}
