//! How text from outside is shown to a person: one rule for every surface, so that no two of them disagree.
//!
//! No byte is shown that a terminal would obey. Nothing is taken away: what is not shown as it is, is replaced by a picture
//! of itself, so that text can neither act nor hide. It must not know where the text comes from.

/// Makes a stream of text plain; a carriage return is judged by what follows it, in a later piece if need be.
#[derive(Debug, Default)]
pub struct Plain {
    return_held: bool,
}

impl Plain {
    /// The next piece, plain. Line feeds and tabs stay; `\r\n` becomes `\n`.
    pub fn push(&mut self, text: &str) -> String {
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
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.return_held) { "␍" } else { "" }
    }
}

/// A whole text, plain; line feeds and tabs stay.
pub fn plain(text: &str) -> String {
    let mut plain = Plain::default();
    plain.push(text) + plain.finish()
}

/// The same, for a text that somebody decides on: characters that nobody sees are pictured too, a carriage return always.
pub fn exact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c => push_exact(&mut out, c),
        }
    }
    out
}

/// The text as one plain line of at most `chars_max` characters; line feeds and tabs become spaces, and what nobody sees
/// is pictured: such a line says what was done.
///
/// A longer one is cut in its middle: what to do about something mostly stands at the end.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let chars: Vec<char> = text.trim_end().replace("\r\n", "\n").chars().collect();
    let mut out = String::new();
    let push = |chars: &[char], out: &mut String| {
        for c in chars {
            match c {
                '\n' | '\t' => out.push(' '),
                c => push_exact(out, *c),
            }
        }
    };
    if chars.len() <= chars_max {
        push(&chars, &mut out);
    } else {
        let tail = chars_max / TAIL_PART;
        push(&chars[..chars_max - tail], &mut out);
        out.push('…');
        push(&chars[chars.len() - tail..], &mut out);
    }
    out
}

/// One part of so many of a line that is cut is its end.
const TAIL_PART: usize = 3;

/// One JSON document as one line, byte for byte, but for what JSON allows raw and a terminal obeys: DEL, C1, and the
/// characters that reorder text.
pub fn json_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            // Outside strings these are white space; inside them JSON does not allow them.
            '\0'..='\x1f' => out.push(' '),
            '\x7f'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if reorders(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

/// Whether a terminal would obey the character rather than show it, or read the line in another order for it.
pub fn acts(c: char) -> bool {
    c.is_control() || reorders(c)
}

fn push_exact(out: &mut String, c: char) {
    if is_unseen(c) { push_code(out, c) } else { push_shown(out, c) }
}

fn push_shown(out: &mut String, c: char) {
    match c {
        // The block U+2400 pictures C0 in its own order.
        '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
        '\x7f' => out.push('␡'),
        '\u{80}'..='\u{9f}' => push_code(out, c),
        c if reorders(c) => push_code(out, c),
        _ => out.push(c),
    }
}

fn push_code(out: &mut String, c: char) {
    out.push_str(&format!("<U+{:04X}>", u32::from(c)));
}

/// Characters after which a line reads in another order than it is written. Source: Unicode 16, UAX #9.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no room, or that look like room: Default_Ignorable_Code_Point, fillers, separators of lines,
/// private use. Source: Unicode 16, DerivedCoreProperties.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests;
