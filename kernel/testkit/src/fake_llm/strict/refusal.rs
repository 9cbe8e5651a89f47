//! A refusal, and the small questions that both readings of a body ask.

use crate::fake_llm::script::{Feature, Script};

/// A refusal: what is wrong, and at which parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) param: String,
    pub(crate) reason: String,
}

/// Refuses, with where and why.
pub(super) fn refuse<T>(param: impl Into<String>, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { param: param.into(), reason: reason.into() })
}

/// Whether a tool may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether the script's provider takes a feature.
pub(super) fn takes(script: &Script, feature: Feature) -> bool {
    !script.refuses.contains(&feature)
}
