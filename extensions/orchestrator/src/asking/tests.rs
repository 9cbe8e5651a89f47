//! The bound of what is remembered.

use super::{ALLOWED_MAX, Allowed};
use dispatch_sdk::contracts::tool::Effect;
use dispatch_sdk::contracts::turn::AskParams;

fn asked(n: usize) -> AskParams {
    AskParams {
        conversation_id: format!("c{n}"),
        turn_id: "t".into(),
        tool_call_id: "call".into(),
        tool: "shell".into(),
        effect: Effect::Exec,
        args: serde_json::Value::Null,
    }
}

#[test]
fn beyond_the_bound_the_oldest_answer_is_forgotten() {
    let allowed = Allowed::default();
    for n in 0..=ALLOWED_MAX {
        allowed.remember(&asked(n));
        allowed.remember(&asked(n));
    }
    let held = (0..=ALLOWED_MAX).filter(|n| allowed.holds(&asked(*n))).count();
    assert_eq!((allowed.holds(&asked(0)), held), (false, ALLOWED_MAX));
}
