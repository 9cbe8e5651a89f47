//! A plain thread that polls the host's futures.
//!
//! It must not know tokio: a library's inline code finds no runtime there, just as it finds none after a real `dlopen`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands futures to the thread; it ends at [`Executor::stop`].
pub(super) struct Executor {
    queue: Sender<Message>,
}

enum Message {
    Poll(Arc<Task>),
    Stop,
}

struct Task {
    future: Mutex<Option<BoxFuture>>,
    queue: Sender<Message>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let queue = self.queue.clone();
        // After the stop there is nobody to poll it any more.
        let _ = queue.send(Message::Poll(self));
    }
}

impl Executor {
    pub(super) fn new() -> Self {
        let (queue, received) = channel();
        std::thread::Builder::new()
            .name("fake-host".to_owned())
            .spawn(move || run(&received))
            .expect("a test process can make a thread");
        Self { queue }
    }

    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let future: BoxFuture = Box::pin(future);
        let task = Task { future: Mutex::new(Some(future)), queue: self.queue.clone() };
        Arc::new(task).wake();
    }

    /// Ends the thread after what is queued now.
    pub(super) fn stop(&self) {
        let _ = self.queue.send(Message::Stop);
    }
}

fn run(received: &Receiver<Message>) {
    while let Ok(Message::Poll(task)) = received.recv() {
        let Some(mut future) = task.future.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            continue;
        };
        let waker = Waker::from(Arc::clone(&task));
        let mut context = Context::from_waker(&waker);
        // Foreign futures are guarded further down; this keeps the thread alive if the host itself is at fault.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        if matches!(polled, Ok(Poll::Pending)) {
            *task.future.lock().unwrap_or_else(PoisonError::into_inner) = Some(future);
        }
    }
}
