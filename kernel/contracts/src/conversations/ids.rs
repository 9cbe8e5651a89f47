//! What the id of a conversation or a host may be, for whoever is asked about one and for whoever makes keys of it.

use crate::fault::{Fault, INVALID};

/// What an id looks like, as JSON Schema reads it; [`check_id`] says the same.
pub(crate) const ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";
/// Most bytes of an id.
pub const ID_BYTES_MAX: usize = 64;

/// Refuses what is not `[A-Za-z0-9_-]{1,64}`: nothing else may become a part of a key. Errors: `invalid`.
pub fn check_id(id: &str) -> Result<(), Fault> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(good) {
        return Ok(());
    }
    let shown: String = id.chars().take(ID_BYTES_MAX).collect();
    let message = format!(
        "`{}` cannot be the id of a conversation or a host; use 1 to {ID_BYTES_MAX} of `A-Z a-z 0-9 _ -`",
        shown.escape_debug()
    );
    Err(Fault::new(INVALID, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_leave_its_range_of_keys_is_refused() {
        for bad in ["", "a/b", "a\u{0}", "a.b", "ä", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert!(check_id(bad).unwrap_err().is(INVALID), "{bad:?}");
        }
        check_id(&"x".repeat(ID_BYTES_MAX)).unwrap();
        check_id("0199-A_z").unwrap();
    }
}
