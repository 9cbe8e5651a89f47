//! The toy contract, as this side knows it: parameters, replies and frames are plain JSON.

use dispatch_sdk::contracts::{Limits, Verb};
use dispatch_sdk::{Mode, contracts};
use serde_json::Value;

const SHORT: Limits = Limits::short(10_000);

pub(crate) struct Echo;
pub(crate) struct Flood;
pub(crate) struct Partial;
pub(crate) struct Hang;
pub(crate) struct Panic;
pub(crate) struct InlineEmit;
pub(crate) struct Block;
pub(crate) struct Bounce;
pub(crate) struct Seen;
pub(crate) struct Silent;
pub(crate) struct Abort;
/// Served here: half of a circle of calls.
pub(crate) struct DriverBounce;
/// Served by nobody.
pub(crate) struct Absent;
/// Not in the manifest.
pub(crate) struct Unlisted;

impl Verb for Echo {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "toy.v1/echo";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = SHORT;
}

impl Verb for Flood {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/flood";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

impl Verb for Partial {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/partial";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Hang {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/hang";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Panic {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/panic";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for InlineEmit {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/inline_emit";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = SHORT;
}

impl Verb for Block {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "toy.v1/block";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Bounce {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "toy.v1/bounce";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Seen {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "toy.v1/seen";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = SHORT;
}

impl Verb for Silent {
    type Params = Value;
    type Reply = Value;
    type Frame = Value;
    const NAME: &'static str = "toy.v1/silent";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(300);
}

impl Verb for DriverBounce {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "driver.v1/bounce";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Absent {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "absent.v1/x";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Unlisted {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "storage.v1/get";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}

impl Verb for Abort {
    type Params = Value;
    type Reply = Value;
    type Frame = contracts::NoFrame;
    const NAME: &'static str = "toy.v1/abort";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = SHORT;
}
