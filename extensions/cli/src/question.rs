//! The arguments of a tool call as lines that a person decides on: whole, with nothing hidden.
//!
//! It must not know any tool. What `old_…` and `new_…` name is shown as the two sides of a change (`tool.v1`).

use dispatch_sdk::contracts::plain::exact;
use serde_json::Value;

/// Longest line; the rest of one goes on in the next.
const LINE_CHARS_MAX: usize = 500;
/// Most lines that anybody reads.
const LINES_MAX: usize = 2_000;

/// What a question shows.
#[derive(Debug, PartialEq)]
pub(crate) enum Shown {
    /// Plain lines.
    Lines(Vec<String>),
    /// Nobody would read so many.
    TooLong {
        /// How many there are.
        n_lines: usize,
    },
}

/// The lines of `args`.
pub(crate) fn shown(args: &Value) -> Shown {
    let mut lines = Vec::new();
    match args {
        Value::Object(fields) => {
            // The old side of a change stands right above its new one.
            let old_of = |key: &str| key.strip_prefix("new_").map(|rest| format!("old_{rest}"));
            for (key, value) in fields {
                if old_of(key).is_some_and(|old| fields.contains_key(&old)) {
                    continue;
                }
                field(&mut lines, key, value);
                let new = key.strip_prefix("old_").map(|rest| format!("new_{rest}"));
                if let Some((new, value)) = new.and_then(|new| fields.get_key_value(&new)) {
                    field(&mut lines, new, value);
                }
            }
        }
        other => cut(&mut lines, "  ", &exact(&other.to_string())),
    }
    match lines.len() {
        n_lines if n_lines > LINES_MAX => Shown::TooLong { n_lines },
        _ => Shown::Lines(lines),
    }
}

fn field(lines: &mut Vec<String>, key: &str, value: &Value) {
    let mark = match key {
        key if key.starts_with("old_") => "-",
        key if key.starts_with("new_") => "+",
        _ => "│",
    };
    let key = exact(key).replace(['\n', '\t'], " ");
    match value {
        Value::String(text) if mark != "│" || text.contains('\n') => {
            cut(lines, "  ", &format!("{key}:"));
            // `lines` of the standard library would hide the last line feed.
            for line in exact(text).split('\n') {
                cut(lines, &format!("    {mark} "), line);
            }
        }
        Value::String(text) => cut(lines, "  ", &format!("{key}: {}", exact(text))),
        other => cut(lines, "  ", &format!("{key}: {}", exact(&other.to_string()))),
    }
}

fn cut(lines: &mut Vec<String>, before: &str, line: &str) {
    let chars: Vec<char> = line.chars().collect();
    if chars.is_empty() {
        lines.push(before.trim_end().to_owned());
    }
    for (idx, part) in chars.chunks(LINE_CHARS_MAX).enumerate() {
        let goes_on = if idx == 0 { "" } else { "… " };
        lines.push(format!("{before}{goes_on}{}", part.iter().collect::<String>()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(args: Value) -> Vec<String> {
        match shown(&args) {
            Shown::Lines(lines) => lines,
            Shown::TooLong { n_lines } => vec![format!("{n_lines} lines")],
        }
    }

    #[test]
    fn a_command_is_shown_to_its_last_character() {
        let command = format!("echo {}; rm -rf x", "y".repeat(9_000));
        let all = lines(json!({ "command": command })).concat().replace("  … ", "");
        assert!(all.ends_with("; rm -rf x") && all.contains(&"y".repeat(9_000)));
    }

    #[test]
    fn a_change_is_shown_as_its_two_sides() {
        let args =
            json!({ "path": "a.rs", "old_string": "one\ntwo\n", "new_string": "three", "replace_all": true });
        assert_eq!(
            lines(args),
            [
                "  old_string:",
                "    - one",
                "    - two",
                "    -",
                "  new_string:",
                "    + three",
                "  path: a.rs",
                "  replace_all: true",
            ]
        );
    }

    #[test]
    fn nothing_hides_and_nothing_acts() {
        let args = json!({ "command": "ls\u{200b}\u{1b}[2J\r\u{e0041} \u{202e}", "k\ney": "a\nb" });
        assert_eq!(
            lines(args),
            ["  command: ls<U+200B>␛[2J␍<U+E0041> <U+202E>", "  k ey:", "    │ a", "    │ b"]
        );
    }

    #[test]
    fn what_nobody_would_read_is_counted() {
        assert_eq!(shown(&json!({ "content": "\n".repeat(5_000) })), Shown::TooLong { n_lines: 5_002 });
    }
}
