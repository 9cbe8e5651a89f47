//! Finds the mistakes in a script before it is served, so that a test fails at its own line.

use super::script::{Action, DELTAS_MAX, Deltas, LINE_BYTES_MAX, Script};
use super::template;

/// Says what is wrong with the script, naming the rule and the action by position.
pub(super) fn check(script: &Script) -> Result<(), String> {
    for (rule_idx, rule) in script.rules.iter().enumerate() {
        for (action_idx, action) in rule.answer.iter().enumerate() {
            let before = &rule.answer[..action_idx];
            let is_last = action_idx + 1 == rule.answer.len();
            check_action(action, before, is_last)
                .map_err(|reason| format!("rule {rule_idx}, action {action_idx} of the script: {reason}"))?;
        }
    }
    Ok(())
}

fn check_action(action: &Action, before: &[Action], is_last: bool) -> Result<(), String> {
    match action {
        Action::Text(deltas) | Action::ReasoningContent(deltas) | Action::Reasoning(deltas) => {
            check_deltas(deltas)
        }
        Action::ToolCall(call) => {
            if call.deltas == 0 || call.deltas > DELTAS_MAX {
                return Err(format!("`deltas` must be 1 to {DELTAS_MAX}"));
            }
            match &call.arguments_raw {
                Some(raw) => template::check(raw),
                None => template::check_value(&call.arguments),
            }
        }
        Action::HttpError(error) => {
            if !(400..600).contains(&error.status) {
                return Err(format!("`http_error` with status `{}`", error.status));
            }
            let early = before.iter().all(|action| {
                matches!(action, Action::WaitMs(_) | Action::Pace(_) | Action::CutAfterBytes(_))
            });
            let last = if is_last { "" } else { " and nothing after it" };
            match early && is_last {
                true => Ok(()),
                false => Err(format!(
                    "only `wait_ms`, `pace` and `cut_after_bytes` may stand before `http_error`{last}"
                )),
            }
        }
        Action::StreamError(_) if !is_last => Err("nothing may stand after `stream_error`".into()),
        Action::LongLine(bytes) if *bytes > LINE_BYTES_MAX => {
            Err(format!("`long_line` over {LINE_BYTES_MAX} bytes"))
        }
        Action::Pace(pace) if pace.bytes == 0 => Err("`pace` with `bytes` 0".into()),
        Action::RepeatLast(n) if *n > DELTAS_MAX => Err(format!("`repeat_last` over {DELTAS_MAX}")),
        Action::StreamError(_)
        | Action::LongLine(_)
        | Action::Pace(_)
        | Action::RepeatLast(_)
        | Action::Usage(_)
        | Action::Finish(_)
        | Action::NoFinish
        | Action::NoDone
        | Action::Headers
        | Action::WaitMs(_)
        | Action::Stall
        | Action::CutAfterBytes(_)
        | Action::Close
        | Action::Reset
        | Action::Garbage(_)
        | Action::Bytes(_)
        | Action::Event(_)
        | Action::Chunk(_) => Ok(()),
    }
}

fn check_deltas(deltas: &Deltas) -> Result<(), String> {
    match deltas {
        Deltas::One(text) => template::check(text),
        Deltas::Many(texts) => texts.iter().try_for_each(|text| template::check(text)),
        Deltas::Counted(counted) if counted.n > DELTAS_MAX => Err(format!("`n` over {DELTAS_MAX} deltas")),
        Deltas::Counted(_) => Ok(()),
    }
}
