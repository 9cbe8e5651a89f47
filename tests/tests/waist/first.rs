//! The first libraries, built from the sources of a time before most of today's contracts: they are served as they are.
//!
//! It must not know today's extensions of these names: the build names the libraries by path.

use super::activation::options;
use super::dispatch;
use dispatch_compose::{BuildList, resolve};
use dispatch_contracts::storage::{
    BlobGet, BlobGetParams, BlobGetReply, BlobPut, Commit, Get, Info, InfoReply, Scan,
};
use dispatch_contracts::{Empty, Fault, Verb};
use dispatch_kernel::{Attached, Frame, HostedService, Kernel, find_extensions};
use dispatch_sdk::{Call, Config, Extension, Host, Verbs};
use dispatch_testkit::{FakeHost, storage_suite};
use futures_util::future::BoxFuture;
use house::abi_fixture;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Kernels that serve a first library each; a [`Forward`] is told its place.
static KERNELS: Mutex<Vec<Kernel>> = Mutex::new(Vec::new());

/// A storage on the testkit's host that hands every call to a kernel, in the name of whoever calls.
struct Forward {
    kernel: usize,
}

/// What a caller in a kernel would answer: these are never called.
struct Nobody;

impl HostedService<Info> for Nobody {
    fn answer(&self, _params: Empty) -> BoxFuture<'static, Result<InfoReply, Fault>> {
        unreachable!("nobody calls the test")
    }
}

impl Extension for Forward {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { kernel: config.parse()? })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Info, |forward: Arc<Self>, call, params| forward.pass_on(Info, call, params));
        verbs.on(Get, |forward: Arc<Self>, call, params| forward.pass_on(Get, call, params));
        verbs.on(Scan, |forward: Arc<Self>, call, params| forward.pass_on(Scan, call, params));
        verbs.on(Commit, |forward: Arc<Self>, call, params| forward.pass_on(Commit, call, params));
        verbs.on(BlobPut, |forward: Arc<Self>, call, params| forward.pass_on(BlobPut, call, params));
        verbs.on(BlobGet, Self::blob_get);
    }
}

impl Forward {
    fn caller(&self, call: &Call) -> Attached {
        let kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
        kernels[self.kernel].attach(call.caller(), Nobody)
    }

    async fn pass_on<V: Verb>(
        self: Arc<Self>,
        verb: V,
        call: Call,
        params: V::Params,
    ) -> Result<V::Reply, Fault> {
        self.caller(&call).call(verb, &params).await
    }

    async fn blob_get(self: Arc<Self>, call: Call, params: BlobGetParams) -> Result<BlobGetReply, Fault> {
        let mut frames = self.caller(&call).stream(BlobGet, &params)?;
        loop {
            match frames.next().await? {
                Frame::Frame(part) => call.emit(&part).await?,
                Frame::End(reply) => return Ok(reply),
            }
        }
    }
}

/// A kernel that serves the first `storage-memory`; its place among [`KERNELS`].
async fn serve(home: &Path) -> usize {
    let library = abi_fixture("first.libext_storage_memory.so");
    let text = format!("[[extension]]\nid = \"storage-memory\"\npath = \"{}\"\n", library.display());
    let build = BuildList::parse(Path::new("build.toml"), &text).expect("a build");
    let found = find_extensions(&[library]);
    let plan = resolve(&build, &found.catalog, &dispatch_kernel::kernel_version()).expect("a plan");
    let kernel = Kernel::boot(plan, options(home)).await.expect("booted");
    let mut kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
    kernels.push(kernel);
    kernels.len() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_store_serves_and_passes_the_suite_of_its_time() {
    let home = tempfile::tempdir().expect("a directory");
    let open = || async {
        let kernel = serve(home.path()).await;
        FakeHost::new().open::<Forward>("storage", json!(kernel)).await.expect("opened")
    };
    storage_suite::run_first(open).await;
    let kernels = std::mem::take(&mut *KERNELS.lock().unwrap_or_else(PoisonError::into_inner));
    for kernel in kernels {
        kernel.stop().await;
    }
}

/// A host of today in which the first store, provider, retry policy and tool are four of the extensions of one turn.
#[test]
fn a_turn_runs_over_the_first_libraries() {
    let home = tempfile::tempdir().expect("a directory");
    let mut build = String::new();
    for id in ["conversation-store", "orchestrator", "system-prompt", "exec-local", "cli"] {
        build.push_str(&format!("[[extension]]\nid = \"{id}\"\n"));
    }
    for id in ["storage-memory", "provider-demo", "retry-backoff", "tool-read-file"] {
        let library = abi_fixture(&format!("first.{}", house::library_name(id)));
        build.push_str(&format!("[[extension]]\nid = \"{id}\"\npath = \"{}\"\n", library.display()));
    }
    let project = home.path().join("project");
    std::fs::create_dir(&project).expect("made");
    std::fs::write(project.join("notes.txt"), "as it was\n").expect("written");
    let words =
        ["run", "--json", "--provider", "demo", "--cwd", project.to_str().expect("UTF-8"), "read notes.txt"];
    let output = dispatch(home.path(), &build, &words);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?} {stderr}", output.status);
    let events: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let results = of("tool_result");
    let [result] = results.as_slice() else { panic!("one result, not {results:?}: {stdout}") };
    assert!(result["data"]["content"].as_str().is_some_and(|text| text.contains("as it was")), "{result}");
    assert_eq!(of("turn_ended").last().map(|event| &event["data"]["status"]), Some(&json!("completed")));
}
