//! What tools may do: the build's word, then `--allow`, and what holds where neither says anything.

use crate::exit::Refusal;
use dispatch_compose::Policy;
use dispatch_contracts::tool::Decision;
use dispatch_kernel::ToolPolicy;

/// What becomes of an effect beyond reading that nobody spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// A person is there.
    IsAsked,
    /// Nobody is there: `serve`.
    IsDenied,
}

/// Reading is allowed and the rest is `unsaid`, then the build, then `--allow`.
pub(crate) fn of(build: Policy, allow: &[String], unsaid: Unsaid) -> Result<ToolPolicy, Refusal> {
    let unsaid = match unsaid {
        Unsaid::IsAsked => Decision::Ask,
        Unsaid::IsDenied => Decision::Deny,
    };
    let mut policy = ToolPolicy {
        read: build.read.unwrap_or(Decision::Allow),
        write: build.write.unwrap_or(unsaid),
        exec: build.exec.unwrap_or(unsaid),
    };
    for effect in allow {
        match effect.as_str() {
            "read" => policy.read = Decision::Allow,
            "write" => policy.write = Decision::Allow,
            "exec" => policy.exec = Decision::Allow,
            other => {
                return Err(Refusal::usage(format!(
                    "`--allow {other}`: there is no such effect; use read, write, exec"
                )));
            }
        }
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(build: Policy, allow: &[&str], unsaid: Unsaid) -> [Decision; 3] {
        let allow: Vec<String> = allow.iter().map(|&effect| effect.to_owned()).collect();
        let policy = of(build, &allow, unsaid).unwrap();
        [policy.read, policy.write, policy.exec]
    }

    #[test]
    fn what_serves_refuses_to_write_and_to_run_unless_somebody_said_so() {
        use Decision::{Allow, Ask, Deny};
        let silent = Policy::default();
        assert_eq!(decided(silent, &[], Unsaid::IsDenied), [Allow, Deny, Deny]);
        assert_eq!(decided(silent, &["exec"], Unsaid::IsDenied), [Allow, Deny, Allow]);
        let build = Policy { read: Some(Deny), write: Some(Ask), exec: None };
        assert_eq!(decided(build, &[], Unsaid::IsDenied), [Deny, Ask, Deny]);
        assert_eq!(decided(build, &["read", "write"], Unsaid::IsDenied), [Allow, Allow, Deny]);
    }

    #[test]
    fn where_a_person_may_be_they_are_asked() {
        use Decision::{Allow, Ask, Deny};
        assert_eq!(decided(Policy::default(), &[], Unsaid::IsAsked), [Allow, Ask, Ask]);
        let build = Policy { exec: Some(Deny), ..Policy::default() };
        assert_eq!(decided(build, &["write"], Unsaid::IsAsked), [Allow, Allow, Deny]);
    }

    #[test]
    fn an_effect_that_does_not_exist_is_refused() {
        let refusal = of(Policy::default(), &["delete".to_owned()], Unsaid::IsAsked).unwrap_err();
        assert!(refusal.message.contains("`--allow delete`"), "{}", refusal.message);
    }
}
