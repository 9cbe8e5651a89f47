//! Finds secrets in a text and puts marks in their places.

use crate::shapes::SHAPES;
use regex::{Captures, Regex, RegexBuilder};

/// A shorter literal would be found in the middle of words.
const LITERAL_BYTES_MIN: usize = 6;
const LITERAL_BYTES_MAX: usize = 4096;
/// Most literals, and most patterns.
const CONFIGURED_MAX: usize = 256;
/// Most memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// What is said of what the configuration names.
const CONFIGURED: &str = "config";

/// Everything that is sought.
#[derive(Debug)]
pub(crate) struct Redactor {
    /// In the order they are sought.
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    kind: &'static str,
    regex: Regex,
    has_digit: bool,
}

impl Redactor {
    /// Errors: which literal or pattern cannot be used, by its position; a literal itself is not told.
    pub(crate) fn new(literals: &[String], patterns: &[String]) -> Result<Self, String> {
        for (what, n) in [("literals", literals.len()), ("patterns", patterns.len())] {
            if n > CONFIGURED_MAX {
                return Err(format!("`{what}` has {n} items; at most {CONFIGURED_MAX}"));
            }
        }
        let mut rules = Vec::new();
        for (idx, literal) in literals.iter().enumerate() {
            let n_bytes = literal.len();
            if !(LITERAL_BYTES_MIN..=LITERAL_BYTES_MAX).contains(&n_bytes) {
                return Err(format!(
                    "`literals[{idx}]` has {n_bytes} bytes; {LITERAL_BYTES_MIN} to {LITERAL_BYTES_MAX} can be sought"
                ));
            }
            rules.push(configured(&regex::escape(literal)).map_err(|e| format!("`literals[{idx}]`: {e}"))?);
        }
        for (idx, pattern) in patterns.iter().enumerate() {
            let rule = configured(pattern)
                .map_err(|e| format!("`patterns[{idx}]` is no regular expression that can be used: {e}"))?;
            if rule.regex.is_match("") {
                return Err(format!("`patterns[{idx}]` matches the empty text; let it match something"));
            }
            rules.push(rule);
        }
        rules.extend(SHAPES.iter().map(|shape| Rule {
            kind: shape.kind,
            regex: Regex::new(shape.pattern).expect("every shape is a regular expression"),
            has_digit: shape.has_digit,
        }));
        Ok(Self { rules })
    }

    /// The text with a mark in the place of each secret; `None` when it holds none.
    pub(crate) fn redact(&self, text: &str) -> Option<String> {
        let mut redacted: Option<String> = None;
        for rule in &self.rules {
            let seen = redacted.as_deref().unwrap_or(text);
            if let Some(next) = rule.redact(seen) {
                redacted = Some(next);
            }
        }
        redacted
    }
}

impl Rule {
    fn redact(&self, text: &str) -> Option<String> {
        let mut n_found = 0;
        let marked = self.regex.replace_all(text, |found: &Captures<'_>| {
            let whole = &found[0];
            if self.has_digit && !whole.bytes().any(|byte| byte.is_ascii_digit()) {
                return whole.to_owned();
            }
            n_found += 1;
            let kept = found.name("keep").map_or("", |kept| kept.as_str());
            format!("{kept}[redacted:{}]", self.kind)
        });
        let marked = marked.into_owned();
        (n_found > 0).then_some(marked)
    }
}

fn configured(pattern: &str) -> Result<Rule, regex::Error> {
    let regex = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build()?;
    Ok(Rule { kind: CONFIGURED, regex, has_digit: false })
}
