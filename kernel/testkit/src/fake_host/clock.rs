//! The host's clock, ids and timers.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// What a new host's clock shows, in Unix milliseconds.
pub const CLOCK_START_MS: u64 = 1_700_000_000_000;

/// A clock that stands still unless it is moved.
pub(super) struct Clock {
    now_ms: AtomicU64,
    manual: AtomicBool,
    moved: Notify,
    ids: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            now_ms: AtomicU64::new(CLOCK_START_MS),
            manual: AtomicBool::new(false),
            moved: Notify::new(),
            ids: AtomicU64::new(0),
        }
    }

    pub(super) fn set_manual(&self) {
        self.manual.store(true, Ordering::Release);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Acquire)
    }

    pub(super) fn advance_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Moves the clock forward to `ms`; an earlier time leaves it as it is.
    pub(super) fn reach_ms(&self, ms: u64) {
        self.now_ms.fetch_max(ms, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    pub(super) fn new_id(&self) -> String {
        let n = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        format!("00000000-0000-7000-8000-{n:012}")
    }

    /// Sleeps: by default in real time, after which the clock shows at least the time slept to; with a manual clock
    /// until it was moved so far.
    pub(super) fn sleep(
        self: &Arc<Self>,
        timers: &Handle,
        ms: u64,
    ) -> impl Future<Output = ()> + Send + use<> {
        let clock = Arc::clone(self);
        let until_ms = self.now_ms().saturating_add(ms);
        let manual = self.manual.load(Ordering::Acquire);
        let real = (!manual).then(|| Entered::sleep(timers, Duration::from_millis(ms)));
        async move {
            if let Some(real) = real {
                real.await;
                clock.reach_ms(until_ms);
                return;
            }
            loop {
                let moved = clock.moved.notified();
                if clock.now_ms() >= until_ms {
                    return;
                }
                moved.await;
            }
        }
    }
}

/// A future of the host's runtime, polled and dropped by others: it enters its runtime for both.
pub(super) struct Entered {
    future: Option<Pin<Box<tokio::time::Sleep>>>,
    runtime: Handle,
}

impl Entered {
    pub(super) fn sleep(runtime: &Handle, duration: Duration) -> Self {
        let _inside = runtime.enter();
        Self { future: Some(Box::pin(tokio::time::sleep(duration))), runtime: runtime.clone() }
    }
}

impl Future for Entered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let _inside = this.runtime.enter();
        // tokio panics when its runtime has been shut down: then the host is gone and nothing is due any more.
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).unwrap_or(Poll::Pending)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.future.take());
    }
}
