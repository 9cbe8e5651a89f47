//! How a broken house rule is reported.
//!
//! It must not know any rule.

/// One rule and how to mend what breaks it.
pub(crate) struct Rule {
    /// What must hold, one sentence.
    pub(crate) says: &'static str,
    /// What to do where it does not.
    pub(crate) mend: &'static str,
}

impl Rule {
    /// Fails with all of `broken`, each `file: what was found`.
    pub(crate) fn holds(&self, broken: &[String]) {
        assert!(
            broken.is_empty(),
            "a house rule is broken in {} places\n  rule: {}\n  mend: {}\n{}",
            broken.len(),
            self.says,
            self.mend,
            broken.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
        );
    }
}

#[test]
#[should_panic(expected = "- kernel/x.rs: too long")]
fn a_broken_rule_names_every_place() {
    Rule { says: "files are short", mend: "split it" }.holds(&["kernel/x.rs: too long".to_owned()]);
}

#[test]
fn a_rule_that_nothing_breaks_holds() {
    Rule { says: "files are short", mend: "split it" }.holds(&[]);
}
