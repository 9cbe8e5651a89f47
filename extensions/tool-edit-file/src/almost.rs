//! Why a text is not there although it looks as if it were.
//!
//! It must not know replacements.

use unicode_normalization::UnicodeNormalization as _;

/// Characters that are told of a line.
const CHARS_TOLD_MAX: usize = 5;

/// What the model is told about a text that is not in another.
pub(crate) fn why(text: &str, old: &str) -> String {
    if let Some((line, _)) = find(text, old, squeezed) {
        return format!(
            "`old_string` is not in it; line {line} differs in whitespace only: read it and copy it exactly"
        );
    }
    let Some((line, there)) = find(text, old, |line| squeezed(&plain(line))) else {
        return "`old_string` is not in it; read it again".to_owned();
    };
    let mut foreign: Vec<char> = Vec::new();
    for c in there.chars().filter(|c| !c.is_ascii() && !old.contains(*c)) {
        if !foreign.contains(&c) {
            foreign.push(c);
        }
    }
    let foreign = foreign.iter().take(CHARS_TOLD_MAX);
    let told: Vec<String> = foreign.map(|c| format!("`{c}` U+{:04X}", u32::from(*c))).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({} is in the file)", told.join(", ")) };
    format!(
        "`old_string` is not in it; line {line} differs in quotes, dashes, spaces or accents that look alike{told}: \
         copy it exactly"
    )
}

/// The line, from 1, where `old` begins if lines are compared as `seen` makes them, and the lines that it would take.
fn find(text: &str, old: &str, seen: impl Fn(&str) -> String) -> Option<(usize, String)> {
    let wanted: Vec<String> = old.trim().lines().map(&seen).collect();
    let lines: Vec<&str> = text.lines().collect();
    let made: Vec<String> = lines.iter().map(|line| seen(line)).collect();
    let fits = |there: &[String]| match wanted.as_slice() {
        [only] => there[0].contains(only),
        [first, middle @ .., last] => {
            there[0].ends_with(first)
                && there[there.len() - 1].starts_with(last)
                && there[1..there.len() - 1] == *middle
        }
        [] => false,
    };
    let n_wanted = wanted.len().max(1);
    let idx = made.windows(n_wanted).position(fits)?;
    Some((idx + 1, lines[idx..idx + n_wanted].join("\n")))
}

/// All whitespace inside a line is the same.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Typographic characters as a keyboard has them, accents composed, what cannot be seen left out.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for c in line.nfkc() {
        match c {
            '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{02bc}' | '`' | '\u{00b4}' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '«' | '»' => plain.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            c => plain.push(c),
        }
    }
    plain
}
