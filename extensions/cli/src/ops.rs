//! Ops as the verbs that run them.

use dispatch_sdk::contracts::op;
use serde::Serialize;

/// The verb that runs an op.
pub(crate) fn op_verb(id: &str) -> String {
    format!("{}#{id}", op::RUN)
}

/// Parameters as bytes.
pub(crate) fn json(params: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(params).expect("a struct of strings and numbers always encodes")
}
