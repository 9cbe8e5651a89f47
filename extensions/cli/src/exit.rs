//! Exit codes: sysexits where one fits, so that a script can tell "try again" from "mend something".

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{TurnEnded, TurnError, TurnStatus};
use dispatch_sdk::contracts::op::ERROR_TABLE;
use dispatch_sdk::contracts::provider::FaultClass;

pub(crate) const OK: u8 = 0;
pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
/// `EX_TEMPFAIL`: the same command may succeed later.
pub(crate) const TRY_LATER: u8 = 75;
/// `EX_NOPERM`: a key is missing or refused, or its account has no money left.
pub(crate) const NO_PERMISSION: u8 = 77;
/// `EX_CONFIG`: the build or its configuration lacks something.
pub(crate) const CONFIG: u8 = 78;
/// As after SIGINT.
pub(crate) const CANCELLED: u8 = 130;

/// The exit code of a turn that has ended; `error` is its `error` event, if there was one.
pub(crate) fn of_turn(ended: &TurnEnded, error: Option<&TurnError>) -> u8 {
    match ended.status {
        TurnStatus::Completed => OK,
        TurnStatus::Cancelled => CANCELLED,
        TurnStatus::Interrupted => TRY_LATER,
        TurnStatus::Failed => of_failure(error.map_or(&ended.reason, class_of)),
    }
}

/// The exit code of a call that failed.
pub(crate) fn of_fault(fault: &Fault) -> u8 {
    listed(&fault.code).unwrap_or(FAILED)
}

/// What a failed turn's error is called: the provider's class if it has one, else the fault's code.
pub(crate) fn class_of(error: &TurnError) -> &str {
    error.class.filter(|class| *class != FaultClass::Unknown).map_or(&error.code, |class| class.code())
}

fn of_failure(class: &str) -> u8 {
    // What else the table says is about the command itself (2, 130), and a turn that began is past that.
    listed(class).filter(|code| [TRY_LATER, NO_PERMISSION, CONFIG].contains(code)).unwrap_or(FAILED)
}

fn listed(code: &str) -> Option<u8> {
    ERROR_TABLE.iter().find(|(listed, ..)| *listed == code).map(|(_, _, exit_code, _)| *exit_code)
}

#[cfg(test)]
mod tests;
