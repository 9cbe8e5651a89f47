//! What a terminal may be given: no byte that it would obey rather than show.
//!
//! Nothing is taken away: every control character is replaced by a picture of itself, so that text can neither act nor
//! hide behind an unfinished sequence. It must not know where the text comes from.

/// Makes a stream of text plain; a carriage return is judged by what follows it, in a later piece if need be.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    return_held: bool,
}

impl Plain {
    /// The next piece, plain. Line feeds and tabs stay; `\r\n` becomes `\n`.
    pub(crate) fn push(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if std::mem::take(&mut self.return_held) && c != '\n' {
                push_shown(&mut out, '\r');
            }
            match c {
                '\r' => self.return_held = true,
                '\n' | '\t' => out.push(c),
                _ => push_shown(&mut out, c),
            }
        }
        out
    }

    /// What is still held back at the end of the text.
    pub(crate) fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.return_held) { "␍" } else { "" }
    }
}

/// The text as one plain line of at most `chars_max` characters; line feeds and tabs become spaces.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = text.trim_end().chars().filter(|c| *c != '\r');
    for c in chars.by_ref().take(chars_max) {
        match c {
            '\n' | '\t' => out.push(' '),
            _ => push_shown(&mut out, c),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

fn push_shown(out: &mut String, c: char) {
    match c {
        // The block U+2400 pictures C0 in its own order.
        '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
        '\x7f' => out.push('␡'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            out.push_str(&format!("<U+{:04X}>", u32::from(c)));
        }
        _ => out.push(c),
    }
}

/// One JSON document as one line, byte for byte, but for what JSON allows raw and a terminal obeys: DEL, C1, and the
/// characters that reorder text.
pub(crate) fn json_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            // Outside strings these are white space; inside them JSON does not allow them.
            '\0'..='\x1f' => out.push(' '),
            '\x7f'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests;
