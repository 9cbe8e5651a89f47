//! Activation over real libraries: what fails is rolled back and said, what depends on it too, and the rest runs.

use super::{BUILD, dispatch};
use dispatch_compose::{BuildList, Plan, resolve};
use dispatch_contracts::kernel::{Dirs, InstanceState};
use dispatch_contracts::tool::Decision;
use dispatch_kernel::ToolPolicy;
use dispatch_kernel::{BootOptions, END_START_WITHIN, Kernel, SystemClock, TrustNothing, find_extensions};
use house::{bin_dir, workspace_dir};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the host says when the callee was asked to fail in this way.
fn refusal(fail: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a directory");
    let build = BUILD.replacen(
        "libtoy_callee.so\"",
        &format!("libtoy_callee.so\"\nconfig = {{ fail = \"{fail}\" }}"),
        1,
    );
    let output = dispatch(home.path(), &build, &["toy", "echo"]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_instance_that_does_not_start_is_disabled_with_its_reason_and_so_is_what_needs_it() {
    let reasons = [
        ("open", "`open` failed: it was asked to fail in `open` (no_luck)"),
        ("start", "`start` failed: it was asked to fail in `start` (no_luck)"),
        ("panic in open", "panicked in `open`: it was asked to panic in `open`"),
        ("panic in start", "panicked in `start`: it was asked to panic in `start`"),
        (
            "undeclared",
            "`start` returned the tool `surprise`, which the manifest does not declare; add it to `contributes.tools`",
        ),
    ];
    for (fail, reason) in reasons {
        let (code, stderr) = refusal(fail);
        assert_eq!(code, Some(78), "{fail}: {stderr}");
        assert!(stderr.contains(reason), "{fail}: {stderr}");
        assert!(
            stderr.contains("`toy-caller` is disabled: it needs `toy-callee`, which is disabled"),
            "{fail}: {stderr}"
        );
    }
}

#[test]
fn a_wrong_configuration_key_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let output = dispatch(home.path(), BUILD, &["--set", "toy-callee.fial=x", "toy", "echo"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("cannot read the configuration of `toy-callee`: unknown field `fial`"),
        "{stderr}"
    );
}

#[test]
fn an_instance_that_the_build_requires_stops_the_host_when_it_fails() {
    let home = tempfile::tempdir().expect("a directory");
    let failing = "libtoy_callee.so\"\nrequired = true\nconfig = { fail = \"start\" }";
    let build = BUILD.replacen("libtoy_callee.so\"", failing, 1);
    let output = dispatch(home.path(), &build, &["toy", "echo"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("the build requires `toy-callee`, which did not start"), "{stderr}");
}

#[test]
fn a_manifest_beside_a_library_must_be_the_embedded_one() {
    let home = tempfile::tempdir().expect("a directory");
    let place = home.path().join("ext");
    let own = place.join("toy-callee");
    std::fs::create_dir_all(&own).expect("made");
    std::fs::copy(bin_dir().join("libtoy_callee.so"), own.join("lib.so")).expect("copied");
    let embedded =
        std::fs::read_to_string(workspace_dir().join("tests/toys/toy-callee/extension.toml")).expect("there");
    let list = |home: &Path| {
        let build = "[[extension]]\nid = \"toy-callee\"\npath = \"ext\"\n";
        let output = dispatch(home, build, &["ext", "list"]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    std::fs::write(own.join("extension.toml"), &embedded).expect("written");
    let (code, shown) = list(home.path());
    assert_eq!(code, Some(0), "{shown}");
    std::fs::write(own.join("extension.toml"), embedded.replace("0.1.0", "0.2.0")).expect("written");
    let (code, shown) = list(home.path());
    assert_eq!(code, Some(78), "{shown}");
    assert!(shown.contains("differs from the manifest embedded in"), "{shown}");
}

#[test]
fn a_warm_start_maps_the_copies_of_the_cold_one() {
    let home = tempfile::tempdir().expect("a directory");
    let copies = || {
        let entries = std::fs::read_dir(home.path().join("cache/ext")).expect("there");
        let mut copies: Vec<_> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "so"))
            .map(|entry| {
                (entry.file_name(), entry.metadata().and_then(|meta| meta.modified()).expect("a time"))
            })
            .collect();
        copies.sort();
        copies
    };
    assert!(dispatch(home.path(), BUILD, &["toy", "echo"]).status.success());
    let cold = copies();
    assert_eq!(cold.len(), 2);
    assert!(dispatch(home.path(), BUILD, &["toy", "echo"]).status.success());
    assert_eq!(copies(), cold, "nothing was copied again");
}

/// What a kernel is booted with in `home`.
pub(super) fn options(home: &Path) -> BootOptions {
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
    BootOptions {
        dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: 2,
        policy: ToolPolicy { read: Decision::Allow, write: Decision::Deny, exec: Decision::Deny },
        trust: Arc::new(TrustNothing),
    }
}

/// The probe, and after it a callee that fails in this way.
fn probe_and_callee(fail: &str) -> Plan {
    let build = format!(
        "[[extension]]\nid = \"toy-probe\"\n[[extension]]\nid = \"toy-callee\"\nconfig = {{ fail = \"{fail}\" }}\n\
         [[extension]]\nid = \"second\"\nfrom = \"toy-probe\"\n"
    );
    let build = BuildList::parse(Path::new("build.toml"), &build).expect("a build");
    let found = find_extensions(&[bin_dir()]);
    resolve(&build, &found.catalog, &dispatch_kernel::kernel_version()).expect("a plan")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_blocks_is_named_and_left_behind_and_the_rest_runs() {
    let home = tempfile::tempdir().expect("a directory");
    let kernel = Kernel::boot(probe_and_callee("block in open"), options(home.path())).await.expect("booted");
    let shown: Vec<_> = kernel.inventory().instances.into_iter().map(|i| (i.id, i.state, i.reason)).collect();
    let reason = "`open` did not return within 10000 ms and blocks its thread, which is left behind";
    let expected = [
        ("toy-probe", InstanceState::Active, ""),
        ("second", InstanceState::Active, ""),
        ("toy-callee", InstanceState::Disabled, reason),
    ];
    assert_eq!(shown, expected.map(|(id, state, reason)| (id.to_owned(), state, reason.to_owned())));
    kernel.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boot_that_is_told_to_end_stops_what_has_started_and_leaves_a_start_that_blocks_behind() {
    let home = tempfile::tempdir().expect("a directory");
    let copies = home.path().join("cache/ext");
    // Ready once the callee's library has been copied: it is being opened or started then.
    let told = async {
        while std::fs::read_dir(&copies).map_or(0, Iterator::count) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let booted = Kernel::boot_until(probe_and_callee("block in start"), options(home.path()), told).await;
    let reasons = booted.err().expect("it was told to end").reasons;
    let reason = format!(
        "the host was told to end while `toy-callee` was being started, which did not end within {} ms and is left behind",
        END_START_WITHIN.as_millis()
    );
    assert_eq!(reasons, [reason]);
    assert!(
        std::fs::read_dir(home.path().join("state/hosts")).expect("there").next().is_none(),
        "its lock is gone"
    );
}

/// Every extension of the default build starts, and returns exactly what it declares: the kernel refuses anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_extension_of_the_default_build_returns_what_it_declares() {
    let home = tempfile::tempdir().expect("a directory");
    let build = BuildList::read(&workspace_dir().join("manifests/default.toml")).expect("a build");
    let found = find_extensions(&[bin_dir()]);
    let mut plan = resolve(&build, &found.catalog, &dispatch_kernel::kernel_version()).expect("a plan");
    // The names of secrets are the host binary's to resolve; what is contributed does not depend on any.
    plan.instances.iter_mut().for_each(|instance| instance.config = serde_json::json!({}));
    let planned: Vec<String> = plan.instances.iter().map(|instance| instance.id.clone()).collect();
    let kernel = Kernel::boot(plan, options(home.path())).await.expect("booted");
    let inventory = kernel.inventory();
    for instance in &inventory.instances {
        assert_eq!(instance.state, InstanceState::Active, "`{}`: {}", instance.id, instance.reason);
        assert_eq!(instance.sha256.len(), 64, "`{}`", instance.id);
    }
    let active: Vec<String> = inventory.instances.iter().map(|instance| instance.id.clone()).collect();
    assert_eq!(active, planned);
    kernel.stop().await;
    assert!(
        std::fs::read_dir(home.path().join("state/hosts")).expect("there").next().is_none(),
        "its lock is gone"
    );
}
