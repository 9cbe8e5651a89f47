//! Faults and answers as the boundary carries them.

use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_contracts::Fault;
use serde_json::Value;

/// A contract fault as the boundary carries it.
pub fn fault_to_abi(fault: Fault) -> dispatch_abi::Fault {
    let detail = if fault.detail.is_null() { Vec::new() } else { fault.detail.to_string().into_bytes() };
    dispatch_abi::Fault { code: fault.code.into(), message: fault.message.into(), detail: detail.into() }
}

/// A boundary fault as both sides read it. A detail that is no JSON is dropped.
pub fn fault_from_abi(fault: dispatch_abi::Fault) -> Fault {
    let detail = serde_json::from_slice(&fault.detail).unwrap_or(Value::Null);
    Fault { code: fault.code.into(), message: fault.message.into(), detail }
}

/// An answer as the boundary carries it.
pub fn result_to_abi<T>(result: Result<T, Fault>) -> RResult<T, dispatch_abi::Fault> {
    result.map_err(fault_to_abi).into()
}

/// An answer as both sides read it.
pub fn result_from_abi<T>(result: RResult<T, dispatch_abi::Fault>) -> Result<T, Fault> {
    result.into_result().map_err(fault_from_abi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_crosses_unchanged_and_a_detail_that_is_no_json_is_dropped() {
        for fault in [Fault::new("odd", "it is"), Fault::new("odd", "it is").with_detail(json!({ "n": 1 }))] {
            assert_eq!(result_from_abi(result_to_abi(Err::<(), _>(fault.clone()))), Err(fault));
        }
        let mut foreign = fault_to_abi(Fault::new("odd", "it is"));
        foreign.detail = b"{".to_vec().into();
        assert_eq!(fault_from_abi(foreign).detail, Value::Null);
    }
}
