//! SIGHUP: the configuration is composed anew, and every instance that it changes is told.
//!
//! What cannot change while it runs is said in the log. A configuration that does not hold changes nothing.

use crate::argv::Invocation;
use crate::compose::{Composed, compose_to_run};
use dispatch_compose::{Plan, PlannedInstance};
use dispatch_contracts::Verb as _;
use dispatch_contracts::instance::{Reload, ReloadParams};
use dispatch_kernel::{Attached, Kernel};
use serde_json::Value;
use std::collections::BTreeSet;

/// What runs, and how it is configured by now.
pub(super) struct Running {
    plan: Plan,
    /// Variables that were taken out of the environment at the start.
    hidden: BTreeSet<String>,
}

impl Running {
    pub(super) fn of(composed: &Composed) -> Self {
        Self { plan: composed.plan.clone(), hidden: composed.secrets.clone() }
    }
}

/// Composes again and tells each instance whose configuration is another one.
pub(super) async fn reload(invocation: &Invocation, kernel: &Kernel, host: &Attached, running: &mut Running) {
    let composed = match tokio::task::block_in_place(|| compose_to_run(invocation)) {
        Ok(composed) => composed,
        Err(refusal) => {
            tracing::error!(reason = refusal.message, "the configuration does not hold; nothing was changed");
            return;
        }
    };
    for note in composed.notes() {
        tracing::warn!(note, "part of the configuration was left out");
    }
    // Threads read the environment by now: nothing is taken out of it any more.
    for variable in composed.secrets.difference(&running.hidden) {
        tracing::warn!(
            variable,
            "is named as a secret since the start; programs that extensions run may see it until a restart"
        );
    }
    let waiting = needs_restart(&running.plan, &composed.plan);
    for what in &waiting {
        tracing::warn!(what, "needs a restart");
    }
    let serving = kernel.serving(Reload::NAME);
    let mut n_changed = 0;
    for known in &mut running.plan.instances {
        let Some(wanted) = composed.plan.instance(&known.id).filter(|wanted| known.config != wanted.config)
        else {
            continue;
        };
        n_changed += 1;
        let changed = changed_keys(&known.config, &wanted.config);
        if !serving.contains(&known.id) {
            tracing::warn!(instance = known.id, keys = changed.join(", "), "changed; needs a restart");
            continue;
        }
        let params = ReloadParams { config: wanted.config.clone() };
        match host.call_named(Reload, &known.id, &params).await {
            Ok(reply) => {
                if !reply.applied.is_empty() || reply.needs_restart.is_empty() {
                    tracing::info!(instance = known.id, keys = reply.applied.join(", "), "reloaded");
                }
                if !reply.needs_restart.is_empty() {
                    let keys = reply.needs_restart.join(", ");
                    tracing::warn!(instance = known.id, keys, "changed; needs a restart");
                }
                known.config = params.config;
            }
            Err(fault) => {
                let keys = changed.join(", ");
                tracing::error!(instance = known.id, keys, %fault, "refused its new configuration; it keeps the old one");
            }
        }
    }
    if n_changed == 0 && waiting.is_empty() {
        tracing::info!("reloaded: nothing has changed");
    }
}

/// What is different besides the configuration of instances, one line each.
fn needs_restart(running: &Plan, wanted: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for new in wanted.instances.iter().filter(|new| running.instance(&new.id).is_none()) {
        lines.push(format!("the new instance `{}`", new.id));
    }
    for known in &running.instances {
        match wanted.instance(&known.id) {
            None => lines.push(format!("leaving out the instance `{}`", known.id)),
            Some(new) if !same_but_config(known, new) => {
                lines.push(format!("what the build says of the instance `{}`", known.id));
            }
            Some(_) => {}
        }
    }
    if running.binds != wanted.binds {
        lines.push("who answers which contract".to_owned());
    }
    if running.policy != wanted.policy {
        lines.push("the policy for tools".to_owned());
    }
    lines
}

fn same_but_config(known: &PlannedInstance, new: &PlannedInstance) -> bool {
    let new = PlannedInstance { config: known.config.clone(), ..new.clone() };
    *known == new
}

/// Top-level keys that are not as they were; never their values, which may be secrets.
fn changed_keys(before: &Value, after: &Value) -> Vec<String> {
    let keys = |config: &Value| -> BTreeSet<String> {
        config.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let all: BTreeSet<String> = keys(before).union(&keys(after)).cloned().collect();
    all.into_iter().filter(|key| before.get(key) != after.get(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_compose::{BuildList, Catalog, Manifest, resolve};
    use serde_json::json;
    use std::path::Path;

    fn plan(text: &str) -> Plan {
        let mut catalog = Catalog::new();
        for id in ["one", "two"] {
            let manifest = format!("id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"A toy.\"\n");
            let manifest = Manifest::parse(Path::new("extension.toml"), manifest.as_bytes()).unwrap();
            catalog.add(manifest, format!("{id}.so"));
        }
        let build = BuildList::parse(Path::new("build.toml"), text).unwrap();
        resolve(&build, &catalog, &dispatch_kernel::kernel_version()).unwrap()
    }

    #[test]
    fn another_configuration_alone_needs_no_restart() {
        let before = plan("[[extension]]\nid = \"one\"\nconfig = { a = 1, b = 2 }\n");
        let after = plan("[[extension]]\nid = \"one\"\nconfig = { a = 1, b = 3, c = 4 }\n");
        assert_eq!(needs_restart(&before, &after), Vec::<String>::new());
        let keys = changed_keys(&before.instances[0].config, &after.instances[0].config);
        assert_eq!(keys, ["b", "c"]);
        assert_eq!(changed_keys(&json!({ "a": 1 }), &json!({})), ["a"]);
    }

    #[test]
    fn another_build_is_told_thing_by_thing() {
        let before = plan("[[extension]]\nid = \"one\"\nworkers = 1\n");
        let after = plan(
            "policy = { exec = \"allow\" }\n[[extension]]\nid = \"two\"\n[[extension]]\nid = \"one\"\nworkers = 2\n",
        );
        let expected =
            ["the new instance `two`", "what the build says of the instance `one`", "the policy for tools"];
        assert_eq!(needs_restart(&before, &after), expected);
        assert_eq!(needs_restart(&after, &before)[0], "leaving out the instance `two`");
    }
}
