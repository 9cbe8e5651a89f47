//! What an engine leaves in a conversation for its next turn: written with the commit that brings it. It must not read it.

use crate::keys;
use crate::store;
use dispatch_sdk::contracts::conversations::{
    ENGINE_NAME_BYTES_MAX, EngineStateParams, EngineStateReply, NewEngineState,
};
use dispatch_sdk::contracts::engine::ENGINE_STATE_BYTES_MAX;
use dispatch_sdk::contracts::storage::Put;
use dispatch_sdk::{Fault, Host, fault};

/// Errors: `invalid`, no engine can have that name; `too_large`.
pub(crate) fn check(left: &NewEngineState) -> Result<(), Fault> {
    check_name(&left.engine)?;
    let bytes = left.state.get().len();
    if bytes > ENGINE_STATE_BYTES_MAX {
        let message = format!(
            "the state of engine `{}` has {bytes} bytes; at most {ENGINE_STATE_BYTES_MAX} are kept",
            left.engine
        );
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    Ok(())
}

pub(crate) fn put(id: &str, left: &NewEngineState) -> Put {
    Put { key: keys::engine_state(id, &left.engine), value: left.state.clone() }
}

pub(crate) async fn get(host: &Host, params: &EngineStateParams) -> Result<EngineStateReply, Fault> {
    check_name(&params.engine)?;
    let key = keys::engine_state(&params.conversation_id, &params.engine);
    let state = store::read(host, &key).await?.map(|(state, _)| state);
    Ok(EngineStateReply { state })
}

fn check_name(name: &str) -> Result<(), Fault> {
    if (1..=ENGINE_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!(
        "an engine's name has 1 to {ENGINE_NAME_BYTES_MAX} bytes and no control characters; found {name:.80?}"
    );
    Err(Fault::new(fault::INVALID, message))
}
