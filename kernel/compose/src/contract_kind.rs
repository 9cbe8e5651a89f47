//! Who may answer a contract: the kernel's own ones by name, all others alike.
//!
//! It must not know any service contract.

use dispatch_contracts::bounds::is_many_valued;

/// How a contract finds its answerer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContractKind {
    /// The kernel itself.
    Kernel,
    /// The router, by the name after `#`; any number of instances contribute.
    ByName,
    /// The instance that made the call named by `parent_call_id`: `<x>_host` contracts are never bound.
    Caller,
    /// One instance of the build; any other that provides it is reached by its id after `#`.
    Single,
}

/// Answered by the kernel and by nobody else.
const KERNEL: [&str; 2] = ["kernel.v1", "turn.v1"];

impl ContractKind {
    pub(crate) fn of(contract: &str) -> Self {
        let name = contract.split_once('.').map_or(contract, |(name, _)| name);
        if KERNEL.contains(&contract) {
            Self::Kernel
        } else if is_many_valued(contract) {
            Self::ByName
        } else if name.ends_with("_host") {
            Self::Caller
        } else {
            Self::Single
        }
    }
}
