//! The well-known shapes of keys and tokens, in the order they are sought: the longer before what it may hold.
//!
//! Sources: RFC 7468 (PEM), RFC 7519 (JWT), RFC 6750 (Bearer); the others by the prefixes that their vendors give keys.

/// One shape.
pub(crate) struct Shape {
    /// Stands in the mark.
    pub(crate) kind: &'static str,
    /// A group named `keep` stays; all else of the match is taken out.
    pub(crate) pattern: &'static str,
    /// A match without a digit is a word, not a key.
    pub(crate) has_digit: bool,
}

const fn shape(kind: &'static str, pattern: &'static str) -> Shape {
    Shape { kind, pattern, has_digit: false }
}

const fn shape_with_digit(kind: &'static str, pattern: &'static str) -> Shape {
    Shape { kind, pattern, has_digit: true }
}

/// All of them.
pub(crate) const SHAPES: [Shape; 12] = [
    // To its end, or, if that was cut off, to the end of the text.
    shape(
        "private_key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    // Its last lines alone, as a tool shows them that began in the middle; lines may be numbered.
    shape(
        "private_key",
        r"(?m)(?:^[ \t]*(?:\d+:[ \t]?)?[A-Za-z0-9+/=]+[ \t]*\r?\n)*^.*-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    ),
    shape("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    shape("anthropic", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    shape_with_digit("openai", r"\bsk-[A-Za-z0-9_-]{20,}"),
    shape("aws", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    shape("github", r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    shape("github", r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
    shape("slack", r"\bxox[a-z]-[A-Za-z0-9-]{10,}"),
    shape("slack", r"\bxapp-[0-9]+-[A-Za-z0-9-]{10,}"),
    shape("google", r"\bAIza[A-Za-z0-9_-]{35}"),
    shape_with_digit("bearer", r"(?i)(?P<keep>\bbearer[ \t]+)[a-z0-9._~+/=-]{16,}"),
];
