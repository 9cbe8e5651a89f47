//! Secrets: a value `{ env = "NAME" }` becomes the variable's content, for instances that hold `secret:NAME` alone.

use crate::argv::Environment;
use crate::exit::Refusal;
use dispatch_kernel::{Capability, Plan};
use serde_json::Value;

/// Puts the secrets into the plan. A variable that is not set takes its key away.
pub(crate) fn resolve(plan: &mut Plan, environment: &Environment) -> Result<(), Refusal> {
    for instance in &mut plan.instances {
        let id = instance.id.clone();
        fill(&mut instance.config, &instance.grants, &id, environment)?;
    }
    Ok(())
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
                let Some(name) = variable(inner).map(str::to_owned) else {
                    fill(inner, grants, id, environment)?;
                    continue;
                };
                if !grants.iter().any(|grant| grant.covers_secret(&name)) {
                    return Err(Refusal::config(format!(
                        "the configuration of `{id}` names the variable `{name}` for `{key}`, but the instance does not hold `secret:{name}`; its manifest must list it, and the build's `grant` must not leave it out"
                    )));
                }
                match environment.get(&name) {
                    Some(secret) => *inner = Value::String(secret.to_owned()),
                    None => {
                        tracing::info!(instance = id, key, variable = name, "the variable is not set");
                        unset.push(key.clone());
                    }
                }
            }
            for key in unset {
                map.remove(&key);
            }
        }
        Value::Array(items) => {
            for item in items {
                fill(item, grants, id, environment)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// The name in `{ env = "NAME" }`.
fn variable(value: &Value) -> Option<&str> {
    let map = value.as_object()?;
    if map.len() != 1 {
        return None;
    }
    map.get("env")?.as_str()
}
