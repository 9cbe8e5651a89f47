//! Values of the boundary to values of the contracts and back.

use dispatch_abi::SharedBytes;
use dispatch_abi::abi_stable::std_types::{RArc, RVec};
use dispatch_contracts::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Display;

/// Bytes to share across the boundary.
pub fn shared(bytes: Vec<u8>) -> SharedBytes {
    RArc::new(RVec::from(bytes))
}

/// A contract fault as the boundary carries it.
pub fn fault_to_abi(fault: Fault) -> dispatch_abi::Fault {
    let detail = if fault.detail.is_null() { Vec::new() } else { fault.detail.to_string().into_bytes() };
    dispatch_abi::Fault { code: fault.code.into(), message: fault.message.into(), detail: detail.into() }
}

/// A boundary fault as authors read it. A detail that is no JSON is dropped.
pub fn fault_from_abi(fault: dispatch_abi::Fault) -> Fault {
    let detail = serde_json::from_slice(&fault.detail).unwrap_or(Value::Null);
    Fault { code: fault.code.into(), message: fault.message.into(), detail }
}

pub(crate) fn encode<T: Serialize>(verb: &str, value: &T) -> Result<SharedBytes, Fault> {
    serde_json::to_vec(value).map(shared).map_err(|e| {
        Fault::new(dispatch_contracts::fault::BROKEN, format!("cannot write JSON for `{verb}`: {e}"))
    })
}

/// Reads JSON; `what` is written out only when that fails, for this is done for every call and every frame.
pub(crate) fn decode<T: DeserializeOwned>(code: &str, what: impl Display, bytes: &[u8]) -> Result<T, Fault> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| Fault::new(code, format!("cannot read {what}: {e}")))
}
