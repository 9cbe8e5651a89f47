//! Keeps panics inside the extension: around every entry, every poll and every drop of a future.

use crate::inner::Inner;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::PANICKED;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Runs an entry of author code; a panic becomes the fault `panicked`. `what` names the entry, such as `start` or a verb.
pub(crate) fn entry<T>(
    inner: &Arc<Inner>,
    what: &str,
    f: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let _current = crate::logging::enter(&inner.host);
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(panic) => Err(panicked(inner, what, panic)),
    }
}

fn panicked(inner: &Inner, what: &str, panic: Box<dyn Any + Send>) -> Fault {
    let text = dispatch_wire::panic_text(panic);
    let place = crate::logging::take_panic_place();
    let message = format!("`{}` panicked in `{what}`: {text}{place}", inner.instance);
    Fault::new(PANICKED, message).with_detail(serde_json::json!({ "instance": inner.instance }))
}

/// A future of author code. Polled and dropped inside `catch_unwind`, with its instance as the current one.
pub(crate) struct Guarded<F> {
    // Boxed and optional, so that it can be dropped inside the guard.
    future: Option<Pin<Box<F>>>,
    inner: Arc<Inner>,
    what: String,
}

impl<F> Guarded<F> {
    pub(crate) fn new(inner: Arc<Inner>, what: String, future: F) -> Self {
        Self { future: Some(Box::pin(future)), inner, what }
    }

    fn drop_future(&mut self) -> Result<(), Fault> {
        let Some(future) = self.future.take() else { return Ok(()) };
        entry(&self.inner, &self.what, || {
            drop(future);
            Ok(())
        })
    }
}

impl<T, F: Future<Output = Result<T, Fault>>> Future for Guarded<F> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else {
            return Poll::Ready(Err(Fault::new(PANICKED, "a finished call was polled again")));
        };
        let polled = entry(&this.inner, &this.what, || Ok(future.as_mut().poll(cx)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(fault) => Err(fault),
        };
        match this.drop_future() {
            Ok(()) => Poll::Ready(result),
            Err(fault) => Poll::Ready(Err(fault)),
        }
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        if let Err(fault) = self.drop_future() {
            self.inner.report_panic(&fault.message);
        }
    }
}
