//! The verbs of the toy: parameters, replies and frames are plain JSON.

use dispatch_sdk::Mode;
use dispatch_sdk::contracts::{Limits, NoFrame, Verb};
use serde_json::Value;

pub(crate) struct EchoInline;
pub(crate) struct EchoSpawned;
pub(crate) struct Flood;
pub(crate) struct Relay;
pub(crate) struct RelayCalls;

impl Verb for EchoInline {
    type Params = Value;
    type Reply = Value;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/echo_inline";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(10_000);
}

impl Verb for EchoSpawned {
    type Params = Value;
    type Reply = Value;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/echo_spawned";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

impl Verb for Flood {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "instance.v1/flood";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

impl Verb for Relay {
    type Params = Value;
    type Reply = Value;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/relay";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

impl Verb for RelayCalls {
    type Params = Value;
    type Reply = Value;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/relay_calls";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}
