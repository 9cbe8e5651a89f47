//! The host's runtime, and a kernel booted in it from a build that holds.

use crate::compose::Composed;
use crate::exit::Refusal;
use crate::logging;
use dispatch_kernel::turn::ToolPolicy;
use dispatch_kernel::{BootOptions, Kernel, SystemClock};
use std::future::Future;
use std::sync::Arc;

/// Threads of the host's runtime: it routes and waits; extensions have their own.
const WORKERS: usize = 2;

/// Runs `work` on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let cannot = |e: std::io::Error| Refusal::failed(format!("cannot start the runtime: {e}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(cannot)?;
    let done = runtime.block_on(work);
    // A read of standard input may still be waiting on its thread.
    runtime.shutdown_background();
    done
}

/// Boots the composed build.
pub(crate) async fn boot(composed: Composed, policy: ToolPolicy) -> Result<Kernel, Refusal> {
    let options = BootOptions {
        dirs: composed.dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: logging::level_max(),
        policy,
        trust: composed.trust,
    };
    Kernel::boot(composed.plan, options).await.map_err(|e| Refusal::config(e.to_string()))
}
