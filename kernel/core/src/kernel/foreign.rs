//! Foreign code that may block or never end: run on a thread of its own, and left behind after a limit.
//!
//! It must not know what the code is for. A thread that is left behind stays until its code returns.

use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::PANICKED;
use dispatch_wire::{fault_to_abi, panic_text};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What code gets above its limit before its thread counts as blocked: time to notice the limit by itself.
const BLOCKED_AFTER: Duration = Duration::from_secs(2);

/// Why foreign code came to no good end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It ended, with this reason.
    Failed(String),
    /// It blocks its thread.
    Blocked(String),
}

impl Trouble {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Failed(reason) | Self::Blocked(reason) => reason,
        }
    }
}

/// Runs `work`, the `what` of `instance`, on a thread of its own.
///
/// What it gives after `limit` is dropped there.
pub(super) async fn on_own_thread<T: Send + 'static>(
    instance: &str,
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Trouble> {
    let (sender, done) = oneshot::channel();
    let guarded = move || {
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_text(panic)));
        if let Err(late) = sender.send(result)
            && catch_unwind(AssertUnwindSafe(|| drop(late))).is_err()
        {
            tracing::error!("what came too late panicked while it was dropped");
        }
    };
    // Linux shows 15 bytes of a thread's name.
    let name: String = format!("{what} {instance}").chars().take(15).collect();
    std::thread::Builder::new()
        .name(name)
        .spawn(guarded)
        .map_err(|e| Trouble::Failed(format!("cannot start a thread for `{what}`: {e}")))?;
    match tokio::time::timeout(limit + BLOCKED_AFTER, done).await {
        Ok(Ok(result)) => result.map_err(Trouble::Failed),
        Ok(Err(_)) => Err(Trouble::Failed(format!("the thread of `{what}` ended without an answer"))),
        Err(_) => Err(Trouble::Blocked(format!(
            "`{what}` did not return within {} ms and blocks its thread, which is left behind",
            limit.as_millis()
        ))),
    }
}

/// Waits for an instance's reply on the current thread, which is one of its own; what is not there at `limit` is dropped.
pub(super) fn wait_for<T>(
    runtime: &Handle,
    what: &str,
    limit: Duration,
    reply: impl Future<Output = RResult<T, dispatch_abi::Fault>>,
) -> Result<T, String> {
    let waited = runtime.block_on(async {
        let mut reply = pin!(reply);
        let guarded = std::future::poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| reply.as_mut().poll(cx))).unwrap_or_else(|panic| {
                let fault = Fault::new(PANICKED, panic_text(panic));
                Poll::Ready(RResult::RErr(fault_to_abi(fault)))
            })
        });
        tokio::time::timeout(limit, guarded).await
    });
    match waited {
        Ok(RResult::ROk(value)) => Ok(value),
        Ok(RResult::RErr(fault)) => Err(format!("`{what}` failed: {} ({})", fault.message, fault.code)),
        Err(_) => Err(format!("`{what}` did not end within {} ms", limit.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn what_blocks_is_left_behind_and_said_and_what_it_gives_later_is_dropped() {
        let (release, gate) = mpsc::channel::<()>();
        let (dropped, was_dropped) = mpsc::channel();
        struct Tells(mpsc::Sender<()>);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.send(()).ok();
            }
        }
        let work = move || {
            gate.recv().ok();
            Ok(Tells(dropped))
        };
        let Err(Trouble::Blocked(reason)) = on_own_thread("toy", "open", LIMIT, work).await else {
            panic!("it did not block")
        };
        assert_eq!(reason, "`open` did not return within 50 ms and blocks its thread, which is left behind");
        drop(release);
        was_dropped.recv_timeout(Duration::from_secs(30)).expect("it came too late");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_reply_that_never_comes_is_dropped_at_the_limit() {
        let runtime = Handle::current();
        let work = move || wait_for::<()>(&runtime, "stop", LIMIT, std::future::pending());
        let Err(Trouble::Failed(reason)) = on_own_thread("toy", "stop", LIMIT, work).await else {
            panic!("it did not fail")
        };
        assert_eq!(reason, "`stop` did not end within 50 ms");
    }

    #[tokio::test]
    async fn a_panic_is_its_reason() {
        let work = || -> Result<(), String> { panic!("as asked") };
        let Err(Trouble::Failed(reason)) = on_own_thread("toy", "open", Duration::from_secs(60), work).await
        else {
            panic!("it did not fail")
        };
        assert_eq!(reason, "as asked");
    }
}
