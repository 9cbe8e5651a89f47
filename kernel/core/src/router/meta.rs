//! A call's meta: who a chain of calls is for. Stamped here, never taken from a body.

use super::endpoint::Endpoint;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use serde::{Deserialize, Serialize};

const META_BYTES_MAX: usize = 4096;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Wishes {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

/// The meta of a root call of `caller` with these wishes (JSON or empty).
pub(super) fn of_root_call(caller: &Endpoint, wishes: &[u8]) -> Result<Vec<u8>, Fault> {
    if wishes.is_empty() {
        return Ok(b"{}".to_vec());
    }
    if wishes.len() > META_BYTES_MAX {
        let message =
            format!("`{}` wished for a meta of {} bytes; at most {META_BYTES_MAX}", caller.id, wishes.len());
        return Err(Fault::new(INVALID, message));
    }
    let mut wishes: Wishes = serde_json::from_slice(wishes).map_err(|e| {
        Fault::new(INVALID, format!("cannot read the meta that `{}` wished for: {e}", caller.id))
    })?;
    if !caller.identity {
        wishes.actor.clear();
    }
    Ok(serde_json::to_vec(&wishes).expect("a struct of strings always encodes"))
}
