//! What the writer of an open turn is asked for. It must not know who asks, nor how the writer works.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::conversations::{AppendParams, AppendReply};
use tokio::sync::oneshot;

/// A reply that never comes means that the turn is over.
#[derive(Debug)]
pub(crate) enum Request {
    Append { params: Box<AppendParams>, reply: oneshot::Sender<Result<AppendReply, Fault>> },
    Flush { reply: oneshot::Sender<Result<(), Fault>> },
}
