//! The host's runtime, and a kernel booted in it from a build that holds.

use crate::compose::Composed;
use crate::dirs;
use crate::exit::Refusal;
use crate::logging;
use crate::signals::{Ending, Signals};
use dispatch_kernel::{BootOptions, END_START_WITHIN, Kernel, SystemClock, ToolPolicy};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Threads of the host's runtime: it routes and waits; extensions have their own.
const WORKERS: usize = 2;
/// How long a boot that was told to end may take in all: what is being started, and then stopping what has started.
const END_WITHIN: Duration = Duration::from_secs(25);
const _: () = assert!(END_WITHIN.as_secs() > 2 * END_START_WITHIN.as_secs());

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

/// Boots the composed build unless a signal comes first. Then what is being started is given its time, everything that
/// has started is stopped in order, and a second signal waits for neither.
pub(crate) async fn boot_until(
    composed: Composed,
    policy: ToolPolicy,
    signals: &mut Signals,
) -> Result<Booted, Refusal> {
    let (tell, told) = oneshot::channel();
    // A task of its own, since looking for signals must not depend on what a boot does with its thread.
    let mut booting = tokio::spawn(boot(composed, policy, told));
    let broken = |e: tokio::task::JoinError| Refusal::failed(format!("the boot broke off: {e}"));
    let ending = tokio::select! {
        booted = &mut booting => return booted.map_err(broken)?.map(Booted::Runs),
        ending = signals.next() => ending,
    };
    // The boot may be over by now.
    let _ = tell.send(());
    let in_order = async {
        match (&mut booting).await.map_err(broken) {
            Ok(Ok(kernel)) => kernel.stop().await,
            Ok(Err(refusal)) | Err(refusal) => tracing::warn!(reason = refusal.message, "did not boot"),
        }
    };
    tokio::select! {
        () = in_order => {}
        _ = signals.next() => {}
        () = tokio::time::sleep(END_WITHIN) => tracing::warn!(
            waited_ms = END_WITHIN.as_millis(),
            "told to end while booting; not everything that was started has stopped in this time, and is left"
        ),
    }
    Ok(Booted::Ended(ending))
}

/// Boots the composed build, does `work` with it, and stops it again; a signal ends each of them in order, a second one
/// at once.
pub(crate) async fn with_kernel<T>(
    composed: Composed,
    policy: ToolPolicy,
    work: impl AsyncFnOnce(&Kernel) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut signals = Signals::listen_on_a_terminal()?;
    let kernel = match boot_until(composed, policy, &mut signals).await? {
        Booted::Runs(kernel) => kernel,
        Booted::Ended(ending) => return Err(ending.refusal()),
    };
    let done = tokio::select! {
        done = work(&kernel) => done,
        ending = signals.next() => Err(ending.refusal()),
    };
    tokio::select! {
        () = kernel.stop() => {}
        _ = signals.next() => {}
    }
    done
}

/// Boots the composed build, until told otherwise.
async fn boot(
    composed: Composed,
    policy: ToolPolicy,
    told_to_end: oneshot::Receiver<()>,
) -> Result<Kernel, Refusal> {
    let dirs = composed.dirs.clone();
    let options = BootOptions {
        dirs: composed.dirs,
        runtime: tokio::runtime::Handle::current(),
        clock: Arc::new(SystemClock),
        log_level_max: logging::level_max(),
        policy,
        trust: composed.trust,
    };
    let told_to_end = async {
        if told_to_end.await.is_err() {
            // Nobody is left who could tell.
            std::future::pending().await
        }
    };
    let booted = Kernel::boot_until(composed.plan, options, told_to_end).await;
    booted.map_err(|e| dirs::refusal(&dirs, e.to_string()))
}
