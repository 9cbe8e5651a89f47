//! What a model, a tool or a file's name might try on a terminal.

use super::{Plain, exact, json_line, one_line, plain};

fn shown(pieces: &[&str]) -> String {
    let mut plain = Plain::default();
    let mut out: String = pieces.iter().map(|piece| plain.push(piece)).collect();
    out.push_str(plain.finish());
    out
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through_and_nothing_is_hidden() {
    let cases: &[(&[&str], &str)] = &[
        (&["plain äöü 漢字 🦀\tx\n"], "plain äöü 漢字 🦀\tx\n"),
        // Colour, clear screen, a lone escape, one split over two deltas.
        (&["\x1b[31mred\x1b[0m"], "␛[31mred␛[0m"),
        (&["\x1b[2J\x1b[H"], "␛[2J␛[H"),
        (&["a\x1b"], "a␛"),
        (&["a\x1b", "[2Jb"], "a␛[2Jb"),
        (&["\x1b[", "3", "1m"], "␛[31m"),
        // OSC: window title, clipboard, hyperlink; ended by BEL, by ST, or never.
        (&["\x1b]0;title\x07x"], "␛]0;title␇x"),
        (&["\x1b]52;c;", "cm0gLXJm\x1b", "\\x"], "␛]52;c;cm0gLXJm␛\\x"),
        (&["\x1b]8;;http://evil", " and what follows is seen"], "␛]8;;http://evil and what follows is seen"),
        // DCS, APC, character sets, back space, tabulator stops.
        (&["\x1bPq\x1b\\\x1b_x\x1b\\"], "␛Pq␛\\␛_x␛\\"),
        (&["\x1b(0\x0e\x0f"], "␛(0␎␏"),
        (&["ab\x08\x08xy\x7f"], "ab␈␈xy␡"),
        (&["\0\x05\x0b\x0c"], "␀␅␋␌"),
        // C1 as one character each.
        (&["\u{9b}31m", "\u{9d}0;t\u{9c}", "\u{85}\u{80}"], "<U+009B>31m<U+009D>0;t<U+009C><U+0085><U+0080>"),
        // A carriage return overwrites the line; before a line feed it is only a line's end.
        (&["rm -rf /\rls      "], "rm -rf /␍ls      "),
        (&["a\r\nb\r", "\nc\r", "d\r"], "a\nb\nc␍d␍"),
        (&["\r\r\n"], "␍\n"),
        // Text that reads other than it is.
        (&["a\u{202e}cod.exe\u{202c}"], "a<U+202E>cod.exe<U+202C>"),
        (&["\u{2066}x\u{2069}\u{202a}\u{202b}\u{202d}"], "<U+2066>x<U+2069><U+202A><U+202B><U+202D>"),
        (&["\u{1b}\u{9b}"], "␛<U+009B>"),
    ];
    for (pieces, expected) in cases {
        assert_eq!(shown(pieces), *expected, "{pieces:?}");
    }
}

#[test]
fn every_control_character_is_replaced_wherever_the_text_is_cut() {
    for code in (0..=0x9f).chain(0x202a..=0x202e).chain(0x2066..=0x2069) {
        let c = char::from_u32(code).expect("none of them is a surrogate");
        let all = shown(&["a", &c.to_string(), "b"]);
        let obeyed =
            |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!all.chars().any(|c| c != '\n' && c != '\t' && obeyed(c)), "U+{code:04X} got through");
        assert!(one_line(&all, 100).chars().all(|c| !c.is_control()), "U+{code:04X} broke the line");
    }
}

#[test]
fn a_note_stays_one_line_and_says_when_it_is_cut() {
    let cases = [
        ("a\nb\tc\r\n", 10, "a b c"),
        ("0123456789", 10, "0123456789"),
        ("what went wrong; do this", 12, "what wen…this"),
        ("\x1b[31m", 3, "␛[…m"),
        // A line that says what was done neither hides nor takes away.
        ("rm\u{200b} -rf\u{ad} \u{e0041}x", 20, "rm<U+200B> -rf<U+00AD> <U+E0041>x"),
        ("rm -rf /\rls\r\n", 20, "rm -rf /␍ls"),
        ("a\r\nb", 20, "a b"),
        ("", 3, ""),
    ];
    for (text, chars_max, expected) in cases {
        assert_eq!(one_line(text, chars_max), expected, "{text:?}");
    }
}

#[test]
fn an_event_is_one_line_of_the_same_bytes_but_for_what_a_terminal_obeys() {
    let cases = [
        ("{\"a\": 1.50,  \"b\":\"\\u001b[2J ä 🦀 \\n\"}", "{\"a\": 1.50,  \"b\":\"\\u001b[2J ä 🦀 \\n\"}\n"),
        ("{\"a\":\"\u{9b}31m\u{7f}\u{85}\"}", "{\"a\":\"\\u009b31m\\u007f\\u0085\"}\n"),
        ("{\n\t\"a\":\r1}", "{  \"a\": 1}\n"),
    ];
    for (event, expected) in cases {
        let line = json_line(event);
        assert_eq!(line, expected);
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(event).unwrap(), serde_json::from_str(&line).unwrap());
        assert_eq!(before, after, "its meaning stays");
    }
}

#[test]
fn what_somebody_decides_on_hides_nothing() {
    for c in [
        '\u{200b}',
        '\u{ad}',
        '\u{e0041}',
        '\u{feff}',
        '\u{3164}',
        '\u{2028}',
        '\u{fe0f}',
        '\u{202e}',
        '\u{200f}',
    ] {
        let shown = exact(&format!("rm{c} -rf"));
        assert_eq!(shown, format!("rm<U+{:04X}> -rf", u32::from(c)));
    }
    assert_eq!(exact("a\r\n\tb\u{1b}"), "a␍\n\tb␛");
    // An answer may join emoji; it is read, not decided on.
    assert_eq!(plain("👩\u{200d}👧"), "👩\u{200d}👧");
}
