//! A log record of an extension, as a person reads it: the message, then `key=value`, all on one line.
//!
//! It must not know what a record is about.

use serde_json::{Map, Value};
use std::fmt::{self, Display, Formatter, Write as _};

/// A record: `{"message": "…", "key": …}`; anything else is shown as it is.
pub(super) struct Readable<'a>(pub(super) &'a str);

impl Display for Readable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A record that was cut is no JSON any more.
        let Ok(fields) = serde_json::from_str::<Map<String, Value>>(self.0) else {
            return plain(f, self.0);
        };
        let message = fields.get("message").and_then(Value::as_str);
        if let Some(message) = message {
            plain(f, message)?;
        }
        let rest = fields.iter().filter(|(key, _)| message.is_none() || *key != "message");
        for (n, (key, value)) in rest.enumerate() {
            if n > 0 || message.is_some() {
                f.write_char(' ')?;
            }
            plain(f, key)?;
            f.write_char('=')?;
            match value {
                Value::String(text) if is_one_word(text) => plain(f, text)?,
                value => plain(f, &value.to_string())?,
            }
        }
        Ok(())
    }
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '='))
}

/// One line whatever it holds: no record may look like two.
fn plain(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() {
            write!(f, "{}", c.escape_default())?;
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Readable;

    #[test]
    fn the_message_comes_first_and_the_fields_after_it_on_one_line() {
        let shown = |record: &str| Readable(record).to_string();
        let record =
            r#"{"a":1,"message":"call timed out","method":"x.v1/y","why":"two words","n":{"m":null}}"#;
        assert_eq!(shown(record), r#"call timed out a=1 method=x.v1/y n={"m":null} why="two words""#);
        assert_eq!(shown(r#"{"a":"","message":7}"#), r#"a="" message=7"#);
        assert_eq!(shown("{}"), "");
        assert_eq!(shown(r#"{"message":"cut of"#), r#"{"message":"cut of"#);
        assert_eq!(shown(r#"{"message":"a\nERROR b\u001b[31m"}"#), r"a\nERROR b\u{1b}[31m");
    }
}
