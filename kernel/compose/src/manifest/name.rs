//! How ids, contracts, topics and contributed names are spelt.
//!
//! It must not know which names exist.

use crate::document::Wrong;
use crate::problem::shown;

/// The longest contract, topic or contributed name, in bytes.
const NAME_BYTES_MAX: usize = 128;
const ID_BYTES_MAX: usize = 63;

/// Checks `[a-z][a-z0-9-]{0,62}`.
pub(crate) fn id(text: &str) -> Result<String, Wrong> {
    let spelt = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if spelt && text.len() <= ID_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not an id", shown(text));
    Err(Wrong::new(message).help("an id is `[a-z][a-z0-9-]{0,62}`: lower case letters, digits and `-`"))
}

/// Checks `<name>.v<major>`.
pub(crate) fn contract(text: &str) -> Result<String, Wrong> {
    let spelt = text.split_once(".v").is_some_and(|(name, major)| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && !major.starts_with('0')
            && major.parse::<u16>().is_ok()
            && major.bytes().all(|byte| byte.is_ascii_digit())
    });
    if spelt && text.len() <= NAME_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not a contract", shown(text));
    Err(Wrong::new(message).help("a contract is `<name>.v<major>`, such as `greeter.v1`"))
}

/// Checks a topic: letters, digits and `_ - . /`, beginning with a letter.
pub(super) fn topic(text: &str) -> Result<String, Wrong> {
    if is_word(text, "_-./") && text.len() <= NAME_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not a topic", shown(text));
    Err(Wrong::new(message).help("a topic is letters, digits and `_ - . /`, beginning with a letter"))
}

/// Checks a contributed name: a word, in which `{instance}` may stand once and `*` at the end.
pub(super) fn contribution(text: &str) -> Result<String, Wrong> {
    let stem = text.strip_suffix('*').unwrap_or(text);
    // The instance id is itself a word, so a word in its place says whether the whole is one.
    let filled = stem.replacen("{instance}", "x", 1);
    if is_word(&filled, "_-.") && text.len() <= NAME_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("`{}` cannot be a contributed name", shown(text)));
    Err(wrong.help(if text == "*" {
        "`*` alone would claim every name; write a prefix before it, such as `my__*`"
    } else {
        "a name is letters, digits and `_ - .`, beginning with a letter; `{instance}` once, `*` only at the end"
    }))
}

fn is_word(text: &str, marks: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}
