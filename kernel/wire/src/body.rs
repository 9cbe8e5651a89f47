//! Bodies: JSON bytes to values and back.

use dispatch_abi::SharedBytes;
use dispatch_abi::abi_stable::std_types::{RArc, RVec};
use dispatch_contracts::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// Bytes to share across the boundary.
pub fn shared(bytes: Vec<u8>) -> SharedBytes {
    RArc::new(RVec::from(bytes))
}

/// Writes the JSON of a call of `verb`, or of its reply.
///
/// Errors: `broken`, for a value of a contract always encodes.
pub fn encode<T: Serialize>(verb: &str, value: &T) -> Result<SharedBytes, Fault> {
    serde_json::to_vec(value).map(shared).map_err(|e| {
        Fault::new(dispatch_contracts::fault::BROKEN, format!("cannot write JSON for `{verb}`: {e}"))
    })
}

/// Reads JSON; `what` is written out only when that fails, for this is done for every call and every frame.
///
/// Errors: `code`.
pub fn decode<T: DeserializeOwned>(code: &str, what: impl Display, bytes: &[u8]) -> Result<T, Fault> {
    read(bytes).map_err(|e| Fault::new(code, format!("cannot read {what}: {e}")))
}

/// Reads JSON; no bytes are an empty object.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(if bytes.is_empty() { b"{}" } else { bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_contracts::Empty;
    use dispatch_contracts::fault::INVALID;

    #[test]
    fn no_bytes_are_an_empty_object_and_a_fault_says_what_could_not_be_read() {
        assert_eq!(decode::<Empty>(INVALID, "nothing", b"").unwrap(), Empty {});
        let fault =
            decode::<Empty>(INVALID, format_args!("the parameters of `{}`", "a.v1/b"), b"[").unwrap_err();
        assert_eq!(fault.code, INVALID);
        assert!(fault.message.starts_with("cannot read the parameters of `a.v1/b`: "), "{fault}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = encode("a.v1/b", &[1, 2]).unwrap();
        assert_eq!(decode::<Vec<u8>>(INVALID, "a list", &bytes).unwrap(), [1, 2]);
    }
}
