//! What must never be shown. It must not know what it is a secret of.

/// Shorter values are no secrets: masking them would mask words. Local servers take any key, so a dummy is often one.
const SECRET_BYTES_MIN: usize = 8;
/// A longer value is no word, though it may be all small letters.
const WORD_BYTES_MAX: usize = 12;

/// The configured secrets.
#[derive(Default)]
pub(crate) struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// The values that can be secrets; short ones and plain words are none.
    pub(crate) fn new<'s>(values: impl IntoIterator<Item = &'s str>) -> Self {
        let is_secret = |value: &&str| value.len() >= SECRET_BYTES_MIN && !is_word(value);
        let mut values: Vec<String> = values.into_iter().filter(is_secret).map(str::to_owned).collect();
        // The longest first: a secret may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The text with every secret replaced.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[secret]"))
    }
}

fn is_word(value: &str) -> bool {
    value.len() <= WORD_BYTES_MAX && value.bytes().all(|byte| byte.is_ascii_lowercase())
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Secrets;

    #[test]
    fn every_secret_is_masked_and_short_values_and_words_are_not() {
        let secrets =
            Secrets::new(["sk-12345678", "Bearer sk-12345678", "dispatch", "on", "ollama", "Seventeen"]);
        let masked =
            secrets.mask("sk-12345678 was refused: `Bearer sk-12345678`, go on; dispatch, ollama Seventeen");
        assert_eq!(masked, "[secret] was refused: `[secret]`, go on; dispatch, ollama [secret]");
        assert_eq!(format!("{secrets:?}"), "3 secrets");
        assert_eq!(
            Secrets::new(["none", "k", "placeholder"]).mask("none k placeholder"),
            "none k placeholder"
        );
        let long_word = "abcdefghijklm";
        assert_eq!(Secrets::new([long_word]).mask(long_word), "[secret]");
    }
}
