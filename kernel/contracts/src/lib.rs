//! The contracts: verb names, their parameter and reply types, codes and limits; one file per contract.
//!
//! It must not know IO, tokio, the kernel or any extension, and holds no logic but what all
//! sides of a contract must do alike: its bounds, and how text from outside is shown (`plain`).
//! A verb's wire name is `<contract>.v<major>/<verb>`; many-valued contracts name their target after `#`.
//! Readers ignore unknown fields and default missing ones, so every optional field carries `default`.

pub mod bounds;
pub mod meta;
pub mod verb;

pub mod fault;

// Kernel contracts: what the kernel itself calls or serves.
pub mod command;
pub mod contribution;
pub mod engine;
pub mod event;
pub mod filter;
pub mod instance;
pub mod kernel;
pub mod message;
pub mod op;
pub mod plain;
pub mod provider;
pub mod retry;
pub mod tool;
pub mod turn;

// Service contracts: spoken between extensions; the kernel never reads them.
pub mod approvals;
pub mod conversations;
pub mod exec;
pub mod http;
pub mod prompt;
pub mod storage;
pub mod turns;

pub use contribution::{ContributionKind, Contributions};
pub use fault::Fault;
pub use meta::Meta;
pub use verb::{Empty, Item, Limits, Mode, NoFrame, Verb, contract_of};
