//! The host's side of the panic and runtime rules: futures that extensions poll or drop enter the host's runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// Runs `f` inside the host's runtime.
pub(crate) fn in_runtime<T>(runtime: &Handle, f: impl FnOnce() -> T) -> T {
    let _entered = runtime.enter();
    f()
}

/// A future of the host that somebody else drives: it enters the host's runtime on poll and on drop.
pub(crate) struct HostFuture<F> {
    runtime: Handle,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> HostFuture<F> {
    pub(crate) fn new(runtime: Handle, future: F) -> Self {
        Self { runtime, future: Some(Box::pin(future)) }
    }
}

impl<F: Future> Future for HostFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let future = this.future.as_mut().expect("polled after its end");
        in_runtime(&this.runtime, || future.as_mut().poll(cx))
    }
}

impl<F> Drop for HostFuture<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        let _entered = self.runtime.enter();
        drop(future);
    }
}
