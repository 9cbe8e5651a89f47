//! Takes what JSON's `\u` escapes need not hide back to plain UTF-8, so that a text weighs here what it weighs.
//!
//! It must not know what is in the text, and does not judge it: what is no JSON stays no JSON.

/// Bytes of `\u0061`.
const ESCAPE_BYTES: usize = 6;

/// The same JSON with every `\u` escape written out, or as short as can be (`\n`, `\"`); control characters that have no
/// short one, and halves of a pair alone, stay as they are.
pub(crate) fn unescaped(mut json: Vec<u8>) -> Vec<u8> {
    let (mut from, mut to, mut in_text) = (0, 0, false);
    while from < json.len() {
        if json[from] != b'\\' || !in_text {
            in_text ^= json[from] == b'"';
            json[to] = json[from];
            (from, to) = (from + 1, to + 1);
            continue;
        }
        match character(&json[from..]) {
            Some((plain, n_bytes)) => {
                // Never longer than its escape.
                let place = &mut json[to..from + n_bytes];
                to += match short(plain) {
                    Some(letter) => {
                        place[..2].copy_from_slice(&[b'\\', letter]);
                        2
                    }
                    None => plain.encode_utf8(place).len(),
                };
                from += n_bytes;
            }
            None => {
                // The escaped one as well: it may be a backslash.
                let end = json.len().min(from + 2);
                json.copy_within(from..end, to);
                (to, from) = (to + (end - from), end);
            }
        }
    }
    json.truncate(to);
    json
}

/// The character that `escaped` begins with, and how many bytes say so; none for what has to stay escaped.
fn character(escaped: &[u8]) -> Option<(char, usize)> {
    let first = unit(escaped)?;
    let second = || unit(&escaped[ESCAPE_BYTES..]).map(|second| [first, second]);
    let (found, n_bytes) = match char::from_u32(first.into()) {
        Some(found) => (found, ESCAPE_BYTES),
        None => (char::decode_utf16(second()?).next()?.ok()?, 2 * ESCAPE_BYTES),
    };
    (found >= ' ' || short(found).is_some()).then_some((found, n_bytes))
}

/// What stands behind the backslash of what cannot be written plainly. Source: RFC 8259, section 7.
fn short(found: char) -> Option<u8> {
    match found {
        '"' => Some(b'"'),
        '\\' => Some(b'\\'),
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        '\u{8}' => Some(b'b'),
        '\u{c}' => Some(b'f'),
        _ => None,
    }
}

/// The UTF-16 unit of a `\uXXXX`.
fn unit(escaped: &[u8]) -> Option<u16> {
    let digits = escaped.get(..ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::unescaped;
    use serde_json::Value;

    #[test]
    fn what_it_makes_of_json_is_the_same_json_and_never_longer() {
        for (json, expected) in [
            (r#"{"\u0061":"\u00e9\u20AC\ud83d\ude00 \n"}"#, "{\"a\":\"é€😀 \\n\"}"),
            (r#"["\u0022\u005c\u000a\u0008\u001f\u007f"]"#, "[\"\\\"\\\\\\n\\b\\u001f\u{7f}\"]"),
            (r#"["\\u0061","\\\u0061"]"#, r#"["\\u0061","\\a"]"#),
            (r#"["\ud83d","\ud83d\u0061","\ude00","\ud83d\ud83d\ude00"]"#, ""),
            (r#"["\u00","\u+061","\"#, r#"["\u00","\u+061","\"#),
            (r#"[\u0031,"\\",\u0032]"#, r#"[\u0031,"\\",\u0032]"#),
            (r#"[0.10000000000000000000001]"#, r#"[0.10000000000000000000001]"#),
        ] {
            let made = String::from_utf8(unescaped(json.as_bytes().to_vec())).unwrap();
            if !expected.is_empty() {
                assert_eq!(made, expected);
            }
            assert!(made.len() <= json.len());
            let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| ());
            assert_eq!(read(&made), read(json), "{made}");
        }
    }
}
