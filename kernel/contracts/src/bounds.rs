//! What whoever routes calls bounds and keeps: the kernel's router, and the host of tests by the same rules.

use crate::ContributionKind;

/// Most long calls of one verb open at once at one instance.
pub const LONG_CALLS_MAX: u64 = 4096;

/// Most calls open at once out of one call to whoever made it.
pub const CALLS_BACK_MAX: u32 = 64;

/// Deepest chain of calls.
pub const CALL_DEPTH_MAX: u32 = 16;

/// Calls that an instance serves at once unless its manifest says other.
pub const CALLS_IN_FLIGHT_DEFAULT: u32 = 256;

/// Time between the two phases of cancelling a call, in ms; longer while calls made out of it use theirs.
pub const CANCEL_GRACE_MS: u64 = 500;

/// What `overloaded` suggests when such a bound is reached, in ms.
pub const RETRY_AFTER_MS: u64 = 100;

/// Whether any number of instances answer a contract: a verb names after `#` what is contributed, or the instance itself.
/// Of any other contract the name after `#` is that of an instance that provides it, bound or not.
pub fn is_many_valued(contract: &str) -> bool {
    contract == "instance.v1" || ContributionKind::ALL.iter().any(|kind| kind.contract() == contract)
}

/// Whether `topic` is one that `instance` may publish: `<instance>.<word>`.
pub fn is_topic_of(topic: &str, instance: &str) -> bool {
    let word = topic.strip_prefix(instance).and_then(|rest| rest.strip_prefix('.'));
    word.is_some_and(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{is_many_valued, is_topic_of};
    use crate::ContributionKind;

    #[test]
    fn what_is_contributed_and_what_any_instance_answers_is_many_valued() {
        for kind in ContributionKind::ALL {
            assert!(is_many_valued(kind.contract()), "{}", kind.contract());
        }
        assert!(is_many_valued("instance.v1"));
        assert!(!["storage.v1", "kernel.v1", "tool", "tool.v2"].into_iter().any(is_many_valued));
    }

    #[test]
    fn a_topic_begins_with_the_whole_id_of_who_publishes_it() {
        assert!(is_topic_of("store-2.changed", "store-2"));
        for foreign in ["store-2", "store-2.", "store-22.changed", "store.changed", "kernel.changed", ""] {
            assert!(!is_topic_of(foreign, "store-2"), "{foreign}");
        }
    }
}
