//! What must never be shown. It must not know what it is a secret of.

/// Shorter values are no secrets: masking them would mask words.
const SECRET_BYTES_MIN: usize = 8;

/// The configured secrets.
#[derive(Default)]
pub(crate) struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// `key` is a secret of any length, `others` from [`SECRET_BYTES_MIN`] bytes on.
    pub(crate) fn new<'s>(key: Option<&'s str>, others: impl IntoIterator<Item = &'s str>) -> Self {
        let others = others.into_iter().filter(|value| value.len() >= SECRET_BYTES_MIN);
        let mut values: Vec<String> = key.into_iter().chain(others).map(str::to_owned).collect();
        // The longest first: a secret may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The text with every secret replaced.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[secret]"))
    }
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
    fn every_secret_is_masked_and_short_header_values_are_not() {
        let secrets = Secrets::new(Some("sk-1"), ["Bearer sk-1", "dispatch", "on"]);
        let masked = secrets.mask("sk-1 was refused: `Bearer sk-1`, go on; dispatch");
        assert_eq!(masked, "[secret] was refused: `[secret]`, go on; [secret]");
        assert_eq!(format!("{secrets:?}"), "3 secrets");
    }
}
