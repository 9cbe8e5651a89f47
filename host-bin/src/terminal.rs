//! What may reach a terminal: no control character but line feed and tab.

/// Replaces every control character, and every character that reorders text, by its visible escape.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c == '\n' || c == '\t' || !(c.is_control() || reorders) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(clean("a\u{1b}[31m\r\u{9b}b\u{202e}\n\tc"), "a\\u{1b}[31m\\r\\u{9b}b\\u{202e}\n\tc");
    }
}
