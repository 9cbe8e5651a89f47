//! A kernel in this process, booted from a build list over real libraries, and calls into it as the host binary makes
//! them.
//!
//! It must not know what is measured.

use crate::Trouble;
use crate::servers::scratch;
use dispatch_compose::{BuildList, Plan, resolve};
use dispatch_contracts::command::{Read, ReadParams, ReadReply};
use dispatch_contracts::kernel::{Dirs, InstanceState};
use dispatch_contracts::tool::Decision;
use dispatch_contracts::{Fault, Limits, Mode, NoFrame, Verb};
use dispatch_kernel::ToolPolicy;
use dispatch_kernel::{
    Attached, BootOptions, Frame, HostedService, Kernel, SystemClock, TrustNothing, find_extensions,
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Everything is allowed: nobody is there to be asked.
const ALL: ToolPolicy = ToolPolicy { read: Decision::Allow, write: Decision::Allow, exec: Decision::Allow };

/// A booted kernel in a home of its own.
pub(crate) struct Booted {
    pub(crate) host: Attached,
    kernel: Kernel,
    // Removed last.
    _home: tempfile::TempDir,
}

/// Reads and resolves a build list whose libraries are in `place`.
pub(crate) fn plan(build: &Path, place: &Path) -> Result<Plan, Trouble> {
    let build = BuildList::read(build).map_err(|problems| problems.to_string())?;
    let found = find_extensions(&[place.to_owned()]);
    let mut plan = resolve(&build, &found.catalog, &dispatch_kernel::kernel_version())
        .map_err(|problems| problems.to_string())?;
    // Secrets of the environment are the host binary's business.
    plan.instances.iter_mut().filter(|instance| instance.config["api_key"].is_object()).for_each(
        |instance| {
            instance.config = serde_json::json!({});
        },
    );
    Ok(plan)
}

/// The directories of a home.
pub(crate) fn dirs(home: &Path) -> Result<Dirs, Trouble> {
    let dir = |name: &str| {
        let dir = home.join(name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        dir.to_str().map(str::to_owned).ok_or_else(|| "a path that is not UTF-8".to_owned())
    };
    Ok(Dirs {
        config: dir("config")?,
        data: dir("data")?,
        state: dir("state")?,
        cache: dir("cache")?,
        run: dir("run")?,
        exe: house::dispatch_binary().to_str().ok_or("a path that is not UTF-8")?.to_owned(),
        ..Dirs::default()
    })
}

/// How a kernel is booted here.
pub(crate) fn options(dirs: Dirs) -> BootOptions {
    BootOptions {
        dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: 2,
        policy: ALL,
        trust: Arc::new(TrustNothing),
    }
}

impl Booted {
    /// Boots the build list `text`, in which `BIN` is where libraries were built to.
    pub(crate) async fn new(text: &str) -> Result<Self, Trouble> {
        Self::tuned(text, |_plan| {}).await
    }

    /// The same, with the plan changed before it is booted.
    pub(crate) async fn tuned(text: &str, tune: impl FnOnce(&mut Plan)) -> Result<Self, Trouble> {
        // On a disk: a store's flushes must be real.
        let home = scratch()?;
        let file = home.path().join("build.toml");
        let bin = house::bin_dir();
        std::fs::write(&file, text.replace("BIN", &bin.to_string_lossy()))
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        let mut plan = plan(&file, &bin)?;
        tune(&mut plan);
        let kernel = Kernel::boot(plan, options(dirs(home.path())?)).await;
        let kernel = kernel.map_err(|e| e.to_string())?;
        let disabled = kernel.inventory().instances.into_iter().find(|i| i.state == InstanceState::Disabled);
        if let Some(instance) = disabled {
            return Err(format!("`{}` is disabled: {}", instance.id, instance.reason));
        }
        let host = kernel.attach::<Read, _>("host", NoInput);
        Ok(Self { host, kernel, _home: home })
    }

    pub(crate) async fn stop(self) {
        self.kernel.stop().await;
    }
}

/// Calls a verb by its name and answers the reply; frames are dropped.
pub(crate) async fn call<V: Verb>(
    host: &Attached,
    verb: V,
    name: &str,
    params: &V::Params,
) -> Result<V::Reply, Trouble> {
    let mut call = host.stream_named(verb, name, params).map_err(|fault| fault.to_string())?;
    loop {
        if let Frame::End(reply) = call.next().await.map_err(|fault| fault.to_string())? {
            return Ok(reply);
        }
    }
}

/// There is no standard input here.
struct NoInput;

impl HostedService<Read> for NoInput {
    fn answer(&self, _params: ReadParams) -> BoxFuture<'static, Result<ReadReply, Fault>> {
        Box::pin(async { Err(Fault::new("unavailable", "there is no standard input in a bench")) })
    }
}

/// An op by its id: `call(&host, Op, "turns.start", …)`.
pub(crate) struct Op;

impl Verb for Op {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "op.v1/run";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

macro_rules! toy_verbs {
    ($($verb:ident $name:literal $frame:ty;)*) => {$(
        /// A verb of the toy of the benches; mode and limits are what the toy says.
        pub(crate) struct $verb;

        impl Verb for $verb {
            type Params = Value;
            type Reply = Value;
            type Frame = $frame;
            const NAME: &'static str = $name;
            const MODE: Mode = Mode::Spawned;
            const LIMITS: Limits = Limits::long(0);
        }
    )*};
}

toy_verbs! {
    EchoInline "instance.v1/echo_inline" NoFrame;
    EchoSpawned "instance.v1/echo_spawned" NoFrame;
    Flood "instance.v1/flood" Value;
    Relay "instance.v1/relay" NoFrame;
    RelayCalls "instance.v1/relay_calls" NoFrame;
}
