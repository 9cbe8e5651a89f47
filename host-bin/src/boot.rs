//! The host's runtime, and a kernel booted in it from a build that holds.

use crate::compose::Composed;
use crate::dirs;
use crate::exit::Refusal;
use crate::logging;
use crate::signals::{Ending, Signals};
use dispatch_kernel::ToolPolicy;
use dispatch_kernel::{BootOptions, Kernel, SystemClock};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Threads of the host's runtime: it routes and waits; extensions have their own.
const WORKERS: usize = 2;
/// How long a boot that was told to end may take to stop what is active.
const END_WITHIN: Duration = Duration::from_secs(5);

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

/// How booting ended.
pub(crate) enum Booted {
    Runs(Kernel),
    /// Somebody told the process to end meanwhile; what was active has been stopped, if that was possible in time.
    Ended(Ending),
}

/// Boots the composed build unless a signal comes first, whatever the extension that is being started does meanwhile.
pub(crate) async fn boot_until(
    composed: Composed,
    policy: ToolPolicy,
    signals: &mut Signals,
) -> Result<Booted, Refusal> {
    // On a thread of its own: an extension may block it.
    let mut booting = tokio::spawn(boot(composed, policy));
    let broken = |e: tokio::task::JoinError| Refusal::failed(format!("the boot broke off: {e}"));
    let ending = tokio::select! {
        booted = &mut booting => return booted.map_err(broken)?.map(Booted::Runs),
        ending = signals.next() => ending,
    };
    let in_order = async {
        if let Ok(Ok(kernel)) = (&mut booting).await {
            kernel.stop().await;
        }
    };
    tokio::select! {
        () = in_order => {}
        _ = signals.next() => {}
        () = tokio::time::sleep(END_WITHIN) => tracing::warn!(
            waited_ms = END_WITHIN.as_millis(),
            "told to end, and an extension that is being started does not come back; the others are not stopped in order"
        ),
    }
    Ok(Booted::Ended(ending))
}

/// Boots the composed build.
pub(crate) async fn boot(composed: Composed, policy: ToolPolicy) -> Result<Kernel, Refusal> {
    let dirs = composed.dirs.clone();
    let options = BootOptions {
        dirs: composed.dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: logging::level_max(),
        policy,
        trust: composed.trust,
    };
    Kernel::boot(composed.plan, options).await.map_err(|e| dirs::refusal(&dirs, e.to_string()))
}
