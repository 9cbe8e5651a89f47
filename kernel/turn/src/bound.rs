//! Text kept within a number of bytes: head and tail, with a note of what is missing between.

use std::borrow::Cow;

/// Bytes of `c` inside a JSON string.
fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..'\u{20}' => 6,
        _ => c.len_utf8(),
    }
}

/// `text` if it has at most `bytes_max` bytes as JSON, else its head and tail around a note.
pub(crate) fn head_and_tail(text: &str, bytes_max: usize) -> Cow<'_, str> {
    // At most six bytes a character, so most results need no count.
    if text.len().saturating_mul(6) <= bytes_max || text.chars().map(json_bytes).sum::<usize>() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let head_end = reach(text.char_indices(), bytes_max / 2).map_or(0, |(at, c)| at + c.len_utf8());
    let tail_start = reach(text.char_indices().rev(), bytes_max / 2).map_or(text.len(), |(at, _)| at);
    let n_left_out = tail_start.saturating_sub(head_end);
    let (head, tail) = (&text[..head_end], &text[tail_start.max(head_end)..]);
    Cow::Owned(format!("{head}\n[… {n_left_out} bytes left out …]\n{tail}"))
}

/// The last character of `chars` that still fits into `bytes_max`.
fn reach(chars: impl Iterator<Item = (usize, char)>, bytes_max: usize) -> Option<(usize, char)> {
    let mut n_bytes = 0;
    chars
        .take_while(|(_, c)| {
            n_bytes += json_bytes(*c);
            n_bytes <= bytes_max
        })
        .last()
}

/// The first `chars_max` characters of `text`.
pub(crate) fn first_chars(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_within_its_bound_is_kept_as_it_is() {
        assert_eq!(head_and_tail("abcd", 4), "abcd");
        assert_eq!(head_and_tail("", 0), "");
    }

    #[test]
    fn longer_text_keeps_head_and_tail_and_never_cuts_a_character() {
        assert_eq!(head_and_tail("0123456789", 4), "01\n[… 6 bytes left out …]\n89");
        assert_eq!(head_and_tail("äöüßäöü", 5), "ä\n[… 10 bytes left out …]\nü");
    }

    #[test]
    fn what_json_writes_longer_is_counted_longer() {
        assert_eq!(head_and_tail("\u{1}\u{1}\u{1}", 12), "\u{1}\n[… 1 bytes left out …]\n\u{1}");
    }

    #[test]
    fn the_first_characters_are_characters() {
        assert_eq!(first_chars("äöü", 2), "äö");
        assert_eq!(first_chars("äö", 2), "äö");
    }
}
