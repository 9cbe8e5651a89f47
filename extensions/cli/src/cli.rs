//! The instance: what its commands and its answers on the terminal share.
//!
//! It must not know any of them.

use crate::runs::Runs;
use dispatch_sdk::{Call, Host, Meta};
use std::sync::Arc;

/// Who acts when nobody else is named.
const ACTOR: &str = "user:terminal";

/// The instance.
pub(crate) struct Cli {
    /// Makes root calls: a stopped command still sees its turn end.
    pub(crate) host: Host,
    pub(crate) runs: Arc<Runs>,
}

impl Cli {
    /// Root calls in the name of whoever called the command.
    pub(crate) fn root(&self, call: &Call) -> Host {
        self.host.with_meta(&Meta { actor: actor_of(call), trace: call.meta().trace, ..Meta::default() })
    }
}

/// Who acts through a command.
pub(crate) fn actor_of(call: &Call) -> String {
    let actor = call.meta().actor;
    if actor.is_empty() { ACTOR.to_owned() } else { actor }
}
