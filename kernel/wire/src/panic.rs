//! What a caught panic said.

use std::any::Any;

/// The text of a caught panic. The payload is leaked: dropping it may panic again, and it is small and rare.
pub fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    std::mem::forget(panic);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sly;

    impl Drop for Sly {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_is_its_text_and_its_payload_is_never_dropped() {
        assert_eq!(panic_text(Box::new("said")), "said");
        assert_eq!(panic_text(Box::new("said aloud".to_owned())), "said aloud");
        assert_eq!(panic_text(Box::new(Sly)), "no message");
    }
}
