//! What a client may ask of `turns.v1/start`, checked at the door.

use dispatch_sdk::contracts::conversations::check_id;
use dispatch_sdk::contracts::fault::{INVALID, TOO_LARGE};
use dispatch_sdk::contracts::message::MEDIA_TYPE_BYTES_MAX;
use dispatch_sdk::contracts::turns::{
    INPUT_BYTES_MAX, INPUT_IMAGES_BYTES_MAX, INPUT_PARTS_MAX, InputPart, StartParams,
};
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
    check_parts(&params.parts)?;
    for (field, value) in
        [("provider", &params.provider), ("model", &params.model), ("engine", &params.engine)]
    {
        value.as_deref().map_or(Ok(()), |value| check_name(field, value))?;
    }
    params.cwd.as_deref().map_or(Ok(()), check_cwd)
}

/// The bytes are judged by whoever keeps them.
fn check_parts(parts: &[InputPart]) -> Result<(), Fault> {
    if parts.len() > INPUT_PARTS_MAX {
        let message = format!("`parts` has {} items; at most {INPUT_PARTS_MAX}", parts.len());
        return Err(Fault::new(INVALID, message));
    }
    let n_bytes: usize = parts.iter().map(shown_bytes).sum();
    if n_bytes > INPUT_IMAGES_BYTES_MAX {
        let message = format!(
            "the pictures in `parts` are {n_bytes} bytes of base64 together; at most {INPUT_IMAGES_BYTES_MAX}; \
             send fewer or smaller ones"
        );
        return Err(Fault::new(TOO_LARGE, message));
    }
    for part in parts {
        let InputPart::Image { media_type, .. } = part else {
            return Err(Fault::new(INVALID, "`parts` holds a type that is not known here; there is `image`"));
        };
        let kind = media_type.strip_prefix("image/").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
        if kind.is_empty() || media_type.len() > MEDIA_TYPE_BYTES_MAX || !kind.chars().all(plain) {
            let message =
                format!("`media_type` must be one of an image, as `image/png`; found {media_type:.80?}");
            return Err(Fault::new(INVALID, message));
        }
    }
    Ok(())
}

fn shown_bytes(part: &InputPart) -> usize {
    match part {
        InputPart::Image { data, .. } => data.len(),
        InputPart::Unknown => 0,
    }
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
