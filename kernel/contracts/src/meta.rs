//! What every call is stamped with: whom a chain of calls is for, and what it is about.
//!
//! The host stamps it, and no body names it. A call made out of another has that one's; a root call has what its caller
//! wishes. The first five fields say who and where, and count only from an instance with the capability `identity`.

use crate::Fault;
use crate::fault::INVALID;
use serde::{Deserialize, Serialize};

/// Most bytes of the meta that a root call wishes for.
pub const META_BYTES_MAX: usize = 4096;

/// The meta of a call. What it does not name is kept out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Who acts: `user:…`, `token:…`; empty = the host itself. Needs `identity`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// The tenant it is for; absent = nobody's in particular. Needs `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user it is for. Needs `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The device that it came from. Needs `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The computer that it works on; absent = this one. Needs `identity`: it decides where programs run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<String>,
    /// The conversation it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// The turn it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// W3C traceparent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Meta {
    /// The meta of a root call of `caller` with these wishes (JSON or empty); `identity`: it holds the capability.
    ///
    /// Errors: `invalid`, the wishes are no meta, or above [`META_BYTES_MAX`].
    pub fn of_root_call(caller: &str, wishes: &[u8], identity: bool) -> Result<Self, Fault> {
        if wishes.is_empty() {
            return Ok(Self::default());
        }
        if wishes.len() > META_BYTES_MAX {
            let message =
                format!("`{caller}` wished for a meta of {} bytes; at most {META_BYTES_MAX}", wishes.len());
            return Err(Fault::new(INVALID, message));
        }
        let wished: Self = serde_json::from_slice(wishes).map_err(|e| {
            Fault::new(INVALID, format!("cannot read the meta that `{caller}` wished for: {e}"))
        })?;
        Ok(if identity { wished } else { wished.without_identity() })
    }

    fn without_identity(self) -> Self {
        let Self { conversation_id, turn_id, trace, .. } = self;
        Self { conversation_id, turn_id, trace, ..Self::default() }
    }
}
