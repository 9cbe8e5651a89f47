//! The instance's own tokio runtime, built at the first call that needs one.

use dispatch_abi::HostObj;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CANCELLED, UNAVAILABLE};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

const BLOCKING_THREADS_MAX: usize = 8;
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(2);

pub(crate) struct LazyRuntime {
    name: String,
    workers: usize,
    host: HostObj,
    state: Mutex<State>,
}

enum State {
    Unbuilt,
    Running(Runtime),
    Stopped,
}

impl LazyRuntime {
    pub(crate) fn new(name: &str, workers: usize, host: HostObj) -> Self {
        // Linux shows 15 bytes of a thread's name.
        let name = name.chars().take(15).collect();
        Self { name, workers: workers.max(1), host, state: Mutex::new(State::Unbuilt) }
    }

    /// The runtime's handle; builds it the first time.
    pub(crate) fn handle(&self) -> Result<Handle, Fault> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*state {
            State::Running(runtime) => Ok(runtime.handle().clone()),
            State::Stopped => Err(Fault::new(UNAVAILABLE, "the instance has been stopped")),
            State::Unbuilt => {
                let host = self.host.clone();
                let runtime = Builder::new_multi_thread()
                    .worker_threads(self.workers)
                    .max_blocking_threads(BLOCKING_THREADS_MAX)
                    .thread_keep_alive(THREAD_KEEP_ALIVE)
                    .thread_name(self.name.clone())
                    .on_thread_start(move || {
                        crate::stack::install();
                        crate::logging::belong(host.clone());
                    })
                    .on_thread_stop(crate::stack::remove)
                    .enable_all()
                    .build()
                    .map_err(|e| {
                        Fault::new(UNAVAILABLE, format!("cannot start the runtime's threads: {e}"))
                    })?;
                let handle = runtime.handle().clone();
                *state = State::Running(runtime);
                Ok(handle)
            }
        }
    }

    /// Ends the runtime without waiting for blocking work.
    pub(crate) fn shut_down(&self) {
        let before = {
            let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::replace(&mut *state, State::Stopped)
        };
        if let State::Running(runtime) = before {
            runtime.shutdown_background();
        }
    }
}

/// A task on the instance's runtime, awaited from elsewhere; dropping it aborts the task.
pub(crate) struct Spawned<T> {
    pub(crate) task: JoinHandle<Result<T, Fault>>,
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(result)) => Poll::Ready(result),
            Poll::Ready(Err(_)) => {
                Poll::Ready(Err(Fault::new(CANCELLED, "the instance's runtime ended the call")))
            }
        }
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
