//! An engine on a fake host, without a kernel before it: the suite answers `engine_host.v1` itself.

use super::{Desk, Running, Runs};
use crate::Opened;
use dispatch_contracts::Verb;
use dispatch_contracts::engine::{Ask, Boundary, Commit, History, Run, Steering};
use dispatch_contracts::kernel::KERNEL_INSTANCE;
use dispatch_contracts::turn::RunParams;
use dispatch_sdk::Item;
use std::sync::Arc;

/// Verbs that an engine may call back with.
const BACK: [&str; 5] = [Commit::NAME, Ask::NAME, Steering::NAME, Boundary::NAME, History::NAME];

/// An engine that an open instance contributes.
pub struct Alone {
    opened: Opened,
    name: String,
}

impl Alone {
    /// The engine `name` of `opened`.
    pub fn new(opened: Opened, name: &str) -> Self {
        Self { opened: opened.as_caller(KERNEL_INSTANCE), name: name.to_owned() }
    }
}

impl Runs for Alone {
    fn run<'a>(&'a self, mut params: RunParams, desk: &'a Arc<Desk>) -> Running<'a> {
        params.engine.clone_from(&self.name);
        for verb in BACK {
            let desk = Arc::clone(desk);
            let (_, word) = verb.split_once('/').expect("a verb has a contract");
            self.opened.host().on(verb, move |asked| desk.answer(word, asked));
        }
        Box::pin(async move {
            let mut stream = self.opened.stream_named(Run, &self.name, &params);
            let mut stopped = false;
            loop {
                let next = tokio::select! {
                    biased;
                    () = desk.stop_wished(), if !stopped => {
                        stopped = true;
                        stream.cancel();
                        continue;
                    }
                    next = stream.next() => next?,
                };
                match next {
                    Item::Frame(frame) => desk.frame(&frame.kind),
                    Item::End(ended) => return Ok(ended),
                }
            }
        })
    }
}
