//! What a client may ask of `turns.v1/start`, checked at the door.

use dispatch_sdk::contracts::conversations::check_id;
use dispatch_sdk::contracts::fault::INVALID;
use dispatch_sdk::contracts::turns::{INPUT_BYTES_MAX, StartParams};
use dispatch_sdk::{Fault, fault};
use std::path::Path;

const CWD_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 256;

/// Refuses what no conversation can take.
///
/// Errors: `invalid`, naming the field; `too_large` for the input.
pub(crate) fn check(params: &StartParams) -> Result<(), Fault> {
    if let Some(id) = &params.conversation_id {
        check_id(id)?;
    }
    if params.input.trim().is_empty() {
        return Err(Fault::new(INVALID, "`input` is blank; say something"));
    }
    if params.input.len() > INPUT_BYTES_MAX {
        let message = format!("`input` has {} bytes; at most {INPUT_BYTES_MAX}", params.input.len());
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    for (field, value) in
        [("provider", &params.provider), ("model", &params.model), ("engine", &params.engine)]
    {
        value.as_deref().map_or(Ok(()), |value| check_name(field, value))?;
    }
    params.cwd.as_deref().map_or(Ok(()), check_cwd)
}

/// Refuses what cannot be the name of a provider, model or engine.
pub(crate) fn check_name(field: &str, value: &str) -> Result<(), Fault> {
    if value.len() <= NAME_BYTES_MAX && !value.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("`{field}` must be at most {NAME_BYTES_MAX} bytes without control characters");
    Err(Fault::new(INVALID, message))
}

fn check_cwd(cwd: &str) -> Result<(), Fault> {
    if !Path::new(cwd).is_absolute() || cwd.len() > CWD_BYTES_MAX || cwd.contains('\0') {
        let message =
            format!("`cwd` must be an absolute path of at most {CWD_BYTES_MAX} bytes; found {cwd:.80?}");
        return Err(Fault::new(INVALID, message));
    }
    Ok(())
}
