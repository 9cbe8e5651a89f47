//! Foreign futures, polled and dropped inside `catch_unwind`.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::PANICKED;
use dispatch_wire::panic_text;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs foreign code; its panic becomes the fault `panicked`.
pub(super) fn entry<T>(what: &str, f: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panicked(what, panic))
}

fn panicked(what: &str, panic: Box<dyn Any + Send>) -> Fault {
    Fault::new(PANICKED, format!("{what} panicked: {}", panic_text(panic)))
}

/// A callee's future.
pub(super) struct Guarded<T> {
    future: Option<BoxFuture<Result<T, Fault>>>,
    what: String,
}

impl<T> Guarded<T> {
    pub(super) fn new(what: String, future: BoxFuture<Result<T, Fault>>) -> Self {
        Self { future: Some(future), what }
    }

    /// Drops the future now; its panic is the fault.
    pub(super) fn discard(&mut self) -> Result<(), Fault> {
        let future = self.future.take();
        entry(&self.what, || drop(future))
    }
}

impl<T> Future for Guarded<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else {
            return Poll::Ready(Err(Fault::new(PANICKED, format!("{} was polled after its end", this.what))));
        };
        match entry(&this.what, || future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(this.discard().and(result)),
            Err(fault) => {
                // It has panicked once; a second panic in its drop says nothing new.
                let _ = this.discard();
                Poll::Ready(Err(fault))
            }
        }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // Whoever wants to know of a panic here discards explicitly.
        let _ = self.discard();
    }
}
