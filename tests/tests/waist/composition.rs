//! What a build loses when one of its extensions is taken out: what that one brought, and nothing else.
//!
//! It must not know what any extension is for.

use dispatch_compose::{BuildList, Plan, resolve};
use dispatch_contracts::Contributions;
use dispatch_contracts::kernel::{Dirs, InstanceState, InventoryReply};
use dispatch_contracts::tool::Decision;
use dispatch_kernel::ToolPolicy;
use dispatch_kernel::{BootOptions, Kernel, SystemClock, TrustNothing, find_extensions};
use house::{bin_dir, workspace_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Resolves the default build, without one of its instances if it is named.
fn plan(home: &Path, without: Option<&str>) -> Result<Plan, String> {
    let default = workspace_dir().join("manifests/default.toml");
    let exclude = without.map(|id| format!("exclude = [\"{id}\"]\n")).unwrap_or_default();
    let file = home.join("build.toml");
    std::fs::write(&file, format!("include = [\"{}\"]\n{exclude}", default.display())).expect("written");
    let build = BuildList::read(&file).expect("a build");
    let found = find_extensions(&[bin_dir()]);
    let mut plan = resolve(&build, &found.catalog, &dispatch_kernel::kernel_version())
        .map_err(|problems| problems.to_string())?;
    // The names of secrets are the host binary's to resolve; what is contributed does not depend on any.
    plan.instances.iter_mut().for_each(|instance| instance.config = serde_json::json!({}));
    Ok(plan)
}

/// Boots a plan, looks, and stops it.
async fn inventory(home: &Path, plan: Plan) -> InventoryReply {
    let dir = |name: &str| {
        let dir = home.join(name);
        std::fs::create_dir_all(&dir).expect("made");
        dir.to_str().expect("UTF-8").to_owned()
    };
    let dirs = Dirs {
        config: dir("config"),
        data: dir("data"),
        state: dir("state"),
        cache: dir("cache"),
        run: dir("run"),
        exe: house::dispatch_binary().to_str().expect("UTF-8").to_owned(),
        ..Dirs::default()
    };
    let options = BootOptions {
        dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: 2,
        policy: ToolPolicy { read: Decision::Allow, write: Decision::Deny, exec: Decision::Deny },
        trust: Arc::new(TrustNothing),
    };
    let kernel = Kernel::boot(plan, options).await.expect("booted");
    let inventory = kernel.inventory();
    kernel.stop().await;
    inventory
}

/// What an instance brings, as lines: `tool read_file`, `op turns.start POST /v1/…`, `service storage.v1`.
fn brought(inventory: &InventoryReply) -> BTreeMap<String, BTreeSet<String>> {
    let mut brought = BTreeMap::new();
    for instance in &inventory.instances {
        assert_eq!(instance.state, InstanceState::Active, "`{}`: {}", instance.id, instance.reason);
        let services = inventory.services.iter().filter(|(_, id)| **id == instance.id);
        let mut lines = lines(&instance.contributes);
        lines.extend(services.map(|(contract, _)| format!("service {contract}")));
        brought.insert(instance.id.clone(), lines);
    }
    brought
}

fn lines(contributes: &Contributions) -> BTreeSet<String> {
    let tools = contributes.tools.iter().map(|tool| format!("tool {}", tool.name));
    let providers = contributes.providers.iter().map(|provider| format!("provider {}", provider.name));
    let filters = contributes.filters.iter().map(|filter| format!("filter {}", filter.name));
    let commands = contributes.commands.iter().map(|command| format!("command {}", command.name));
    let ops = contributes
        .ops
        .iter()
        .map(|op| format!("op {} {} {}", op.id, op.surface.http_method, op.surface.http_path));
    tools.chain(providers).chain(filters).chain(commands).chain(ops).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_one_of_its_extensions_a_build_has_all_that_the_others_bring_and_nothing_of_that_one() {
    let home = tempfile::tempdir().expect("a directory");
    let whole = plan(home.path(), None).expect("the default build resolves");
    let optional: Vec<String> = whole
        .instances
        .iter()
        .filter(|instance| !instance.required)
        .map(|instance| instance.id.clone())
        .collect();
    let all = brought(&inventory(home.path(), whole).await);
    let mut taken_out = BTreeSet::new();
    for id in &optional {
        match plan(home.path(), Some(id)) {
            // Others need it: then the build says so at once, naming what is missing, and nothing runs by halves.
            Err(problems) => {
                let missing = all[id].iter().filter_map(|line| line.strip_prefix("service "));
                let named = missing.filter(|contract| problems.contains(*contract)).count();
                assert!(named > 0, "without `{id}`: {problems}");
            }
            Ok(plan) => {
                let mut expected = all.clone();
                expected.remove(id);
                assert_eq!(brought(&inventory(home.path(), plan).await), expected, "without `{id}`");
                taken_out.insert(id.clone());
            }
        }
    }
    assert!(taken_out.len() >= 6, "only {taken_out:?} of {optional:?} could be taken out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schemas_of_every_op_compile_and_its_examples_keep_them() {
    let home = tempfile::tempdir().expect("a directory");
    let inventory = inventory(home.path(), plan(home.path(), None).expect("it resolves")).await;
    let ops: Vec<_> = inventory.instances.iter().flat_map(|instance| &instance.contributes.ops).collect();
    assert!(ops.len() >= 10, "{}", ops.len());
    for op in ops {
        let compiled =
            |schema| jsonschema::validator_for(schema).unwrap_or_else(|e| panic!("`{}`: {e}", op.id));
        let input = compiled(&op.input_schema);
        compiled(&op.output_schema);
        assert_eq!(op.stream, !op.frame_schema.is_null(), "`{}`", op.id);
        assert!(!op.examples.is_empty(), "`{}`", op.id);
        for example in &op.examples {
            input
                .validate(&example.input)
                .unwrap_or_else(|e| panic!("`{}`, {}: {e}", op.id, example.summary));
        }
    }
}
