//! Loading and starting the default build, and the memory of an instance; each boot in a process of its own.
//!
//! It must not know which extensions the default build has.

use crate::kernel::{Booted, EchoSpawned, call, dirs, options, plan};
use crate::process::{answer, answer_of, child, own_memory_mb};
use crate::timing::ms;
use crate::{Trouble, dlopen, note, say};
use dispatch_contracts::kernel::InstanceState;
use dispatch_kernel::Kernel;
use house::bench::{Figure, Goal, Samples, growth};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Boots that are measured; one before them fills the library cache.
const BOOTS: usize = 15;
/// Instances of one library.
const INSTANCES: usize = 33;

/// What one boot took.
#[derive(Serialize, Deserialize)]
struct Boot {
    instances: usize,
    /// From the build list to a plan: libraries found, their manifests read.
    plan_ms: f64,
    /// From the plan to everything started.
    boot_ms: f64,
    stop_ms: f64,
    rss_before_mb: f64,
    rss_after_mb: f64,
    libraries: Vec<String>,
}

/// What mapping the same libraries took.
#[derive(Deserialize)]
struct Mapped {
    ms: f64,
    rss_mb: f64,
}

pub(crate) fn run() -> Result<(), Trouble> {
    default_build()?;
    instances()
}

fn default_build() -> Result<(), Trouble> {
    note("boots of the default build");
    let home = tempfile::tempdir().map_err(|e| format!("cannot make a home: {e}"))?;
    let home = home.path().to_str().ok_or("a path that is not UTF-8")?;
    let boot = || answer_of::<Boot>(&mut child(&["boot", home])?);
    let cold = boot()?;
    let libraries: Vec<&str> = cold.libraries.iter().map(String::as_str).collect();
    let (mut boots, mut mapped) = (Vec::new(), Vec::new());
    for _ in 0..BOOTS {
        boots.push(boot()?);
        mapped.push(answer_of::<Mapped>(&mut child(&[&["dlopen"], libraries.as_slice()].concat())?)?);
    }
    let of = |take: fn(&Boot) -> f64| Samples::new(boots.iter().map(take).collect());
    let mapped_ms = Samples::new(mapped.iter().map(|mapped| mapped.ms).collect()).p50();
    let mapped_mb = Samples::new(mapped.iter().map(|mapped| mapped.rss_mb).collect()).p50();
    let n = cold.instances;
    let bare = format!("dlopen and dlsym of the same {n} libraries");
    let whole = of(|boot| boot.plan_ms + boot.boot_ms);
    let parts = format!(
        "plan {:.1}, load and start {:.1}, stop {:.1} ms; p99 {:.1} ms",
        of(|boot| boot.plan_ms).p50(),
        of(|boot| boot.boot_ms).p50(),
        of(|boot| boot.stop_ms).p50(),
        whole.p99()
    );
    say(&Figure::new("load and start of the default build, warm, p50", whole.p50(), "ms")
        .beside(&bare, mapped_ms)
        .goal(Goal::AtMost(25.0))
        .note(parts));
    say(&Figure::new(
        "the same, first time (libraries hashed and copied)",
        cold.plan_ms + cold.boot_ms,
        "ms",
    )
    .beside(&bare, mapped_ms));
    let rss = of(|boot| growth(boot.rss_before_mb, boot.rss_after_mb, boot.instances));
    say(&Figure::new("RSS per instance of the default build", rss.p50(), "MB")
        .beside("dlopen alone, each library", growth(0.0, mapped_mb, n)));
    Ok(())
}

/// Boots the default build in `home`.
pub(crate) fn child_boot(home: &str) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    runtime.block_on(async {
        let dirs = dirs(Path::new(home))?;
        let rss_before_mb = own_memory_mb("VmRSS");
        let began = Instant::now();
        let plan = plan(&house::workspace_dir().join("manifests/default.toml"))?;
        let plan_ms = ms(began.elapsed());
        let libraries = plan.instances.iter().map(|instance| instance.library.to_string_lossy().into_owned());
        let libraries: Vec<String> = libraries.collect();
        let began = Instant::now();
        let kernel = Kernel::boot(plan, options(dirs)).await.map_err(|e| e.to_string())?;
        let boot_ms = ms(began.elapsed());
        let rss_after_mb = own_memory_mb("VmRSS");
        let disabled = kernel.inventory().instances.into_iter().find(|i| i.state == InstanceState::Disabled);
        if let Some(instance) = disabled {
            return Err(format!("`{}` is disabled: {}", instance.id, instance.reason));
        }
        let began = Instant::now();
        kernel.stop().await;
        let stop_ms = ms(began.elapsed());
        let instances = libraries.len();
        let boot = Boot { instances, plan_ms, boot_ms, stop_ms, rss_before_mb, rss_after_mb, libraries };
        answer(&serde_json::to_value(boot).expect("plain"));
        Ok(())
    })
}

/// Maps the libraries and nothing else.
pub(crate) fn child_dlopen(libraries: &[&str]) -> Result<(), Trouble> {
    let before = own_memory_mb("VmRSS");
    let began = Instant::now();
    dlopen::map_all(libraries)?;
    let took = ms(began.elapsed());
    answer(&json!({ "ms": took, "rss_mb": own_memory_mb("VmRSS") - before }));
    Ok(())
}

/// What more instances of one library cost, at rest and after a call that built each its runtime.
#[derive(Deserialize)]
struct Grown {
    rest_mb: f64,
    used_mb: f64,
}

fn instances() -> Result<(), Trouble> {
    note("instances of one library");
    let grown = |n: usize| answer_of::<Grown>(&mut child(&["instances", &n.to_string()])?);
    let (one, many) = (grown(1)?, grown(INSTANCES)?);
    let kb = |one: f64, many: f64| growth(one, many, INSTANCES - 1) * 1000.0;
    say(&Figure::new("RSS of one more instance of a library, at rest", kb(one.rest_mb, many.rest_mb), "kB"));
    say(&Figure::new("the same after its first spawned call", kb(one.used_mb, many.used_mb), "kB")
        .note("a runtime with one worker and its signal stack"));
    Ok(())
}

/// Boots so many instances of the toy and answers how much this process has grown.
pub(crate) fn child_instances(n: &str) -> Result<(), Trouble> {
    let n: usize = n.parse().map_err(|_| format!("`{n}` is no number"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    runtime.block_on(async {
        let entry = |n: usize| {
            let head = if n == 0 {
                "id = \"toy-bench\"".to_owned()
            } else {
                format!("id = \"toy-{n}\"\nfrom = \"toy-bench\"")
            };
            format!("[[extension]]\n{head}\n")
        };
        let build: String = (0..n).map(entry).collect();
        let before = own_memory_mb("VmRSS");
        let booted = Booted::new(&build).await?;
        let rest_mb = own_memory_mb("VmRSS") - before;
        for idx in 0..n {
            let name = if idx == 0 { "toy-bench".to_owned() } else { format!("toy-{idx}") };
            call(&booted.host, EchoSpawned, &name, &json!({})).await?;
        }
        let used_mb = own_memory_mb("VmRSS") - before;
        booted.stop().await;
        answer(&json!({ "rest_mb": rest_mb, "used_mb": used_mb }));
        Ok(())
    })
}
