//! `approvals.v1`: who answers when the tool policy says `ask`. Single-valued and optional; with nobody there it is a deny.

use crate::turn::{AskParams, AskReply};
use crate::verb::{Limits, Mode, NoFrame, Verb};

/// `approvals.v1/ask`: long, for a person may take their time.
pub struct Ask;

impl Verb for Ask {
    type Params = AskParams;
    type Reply = AskReply;
    type Frame = NoFrame;
    const NAME: &'static str = "approvals.v1/ask";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}
