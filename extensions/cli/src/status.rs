//! The one line that moves while nothing else does: what is waited for, and since when.

use crate::words::{clock_time, duration};
use dispatch_sdk::contracts::event::{
    APPROVAL_REQUESTED, APPROVAL_RESOLVED, ApprovalRequested, ApprovalResolved, Event, REASONING_DELTA,
    RETRY_SCHEDULED, RetryScheduled, STEP_COMPLETED, TEXT_DELTA, TOOL_CALL, TOOL_OUTPUT, TOOL_RESULT,
    ToolCalled,
};
use dispatch_sdk::contracts::plain::one_line;

/// How often the line is written over.
pub(crate) const TICK_MS: u64 = 120;
const MARKS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const NAME_CHARS_MAX: usize = 30;

/// What is waited for.
pub(crate) struct Status {
    /// Unix ms.
    since: u64,
    doing: Doing,
    n_running: usize,
    n_ticks: usize,
}

enum Doing {
    Model,
    Thinking,
    Tool(String),
    Asking(String),
    Waiting { until: u64 },
}

impl Status {
    pub(crate) fn new(now: u64) -> Self {
        Self { since: now, doing: Doing::Model, n_running: 0, n_ticks: 0 }
    }

    /// Takes in what an event says of it.
    pub(crate) fn see(&mut self, event: &Event, now: u64) {
        let doing = match event.kind.as_str() {
            REASONING_DELTA if matches!(self.doing, Doing::Thinking) => return,
            REASONING_DELTA => Doing::Thinking,
            TEXT_DELTA | STEP_COMPLETED => Doing::Model,
            TOOL_CALL => {
                self.n_running += 1;
                let Ok(call) = serde_json::from_str::<ToolCalled>(event.data.get()) else { return };
                Doing::Tool(one_line(&call.name, NAME_CHARS_MAX))
            }
            APPROVAL_REQUESTED => {
                let Ok(asked) = serde_json::from_str::<ApprovalRequested>(event.data.get()) else { return };
                Doing::Asking(one_line(&asked.tool, NAME_CHARS_MAX))
            }
            APPROVAL_RESOLVED => {
                let Ok(asked) = serde_json::from_str::<ApprovalResolved>(event.data.get()) else { return };
                Doing::Tool(one_line(&asked.tool, NAME_CHARS_MAX))
            }
            TOOL_OUTPUT => return,
            TOOL_RESULT => {
                self.n_running = self.n_running.saturating_sub(1);
                if self.n_running > 0 {
                    return;
                }
                Doing::Model
            }
            RETRY_SCHEDULED => {
                let Ok(retry) = serde_json::from_str::<RetryScheduled>(event.data.get()) else { return };
                Doing::Waiting { until: event.at.saturating_add(retry.delay_ms) }
            }
            _ => return,
        };
        (self.doing, self.since) = (doing, now);
    }

    /// The line as it is now, and the next mark in it.
    pub(crate) fn line(&mut self, now: u64) -> String {
        self.n_ticks += 1;
        if matches!(self.doing, Doing::Waiting { until } if until <= now) {
            (self.doing, self.since) = (Doing::Model, now);
        }
        let mark = MARKS[self.n_ticks % MARKS.len()];
        let elapsed = duration((now.saturating_sub(self.since) / 1000) * 1000);
        let elapsed = if elapsed == "0 ms" { "0 s".to_owned() } else { elapsed };
        match &self.doing {
            Doing::Model => format!("{mark} {elapsed} · the model works"),
            Doing::Thinking => format!("{mark} {elapsed} · the model thinks"),
            Doing::Tool(name) if self.n_running > 1 => {
                format!("{mark} {elapsed} · {name} and {} more run", self.n_running - 1)
            }
            Doing::Tool(name) => format!("{mark} {elapsed} · {name} runs"),
            Doing::Asking(name) => format!("{mark} {elapsed} · {name} waits for consent"),
            Doing::Waiting { until } => {
                let left = duration((until - now).next_multiple_of(1000));
                format!("{mark} waits until {} · {left} left", clock_time(*until, now))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn event(kind: &str, at: u64, data: Value) -> Event {
        serde_json::from_value(
            json!({ "seq": 1, "conversation_id": "c", "at": at, "type": kind, "data": data }),
        )
        .unwrap()
    }

    #[test]
    fn it_says_what_is_waited_for_and_since_when() {
        let mut status = Status::new(1_000);
        let line = |status: &mut Status, now| status.line(now).split_once(' ').unwrap().1.to_owned();
        assert_eq!(line(&mut status, 1_400), "0 s · the model works");
        assert_eq!(line(&mut status, 13_900), "12 s · the model works");
        status.see(&event(REASONING_DELTA, 0, json!({})), 14_000);
        assert_eq!(line(&mut status, 16_000), "2 s · the model thinks");
        let call = |name: &str| {
            event(TOOL_CALL, 0, json!({ "step_id": "s", "tool_call_id": "1", "name": name, "args": {} }))
        };
        status.see(&call("shell"), 20_000);
        assert_eq!(line(&mut status, 21_000), "1 s · shell runs");
        let asked =
            json!({ "step_id": "s", "tool_call_id": "1", "tool": "shell", "effect": "exec", "args": {} });
        status.see(&event(APPROVAL_REQUESTED, 0, asked), 21_000);
        assert_eq!(line(&mut status, 21_500), "0 s · shell waits for consent");
        let resolved = json!({ "step_id": "s", "tool_call_id": "1", "tool": "shell", "decision": "allow" });
        status.see(&event(APPROVAL_RESOLVED, 0, resolved), 21_700);
        assert_eq!(line(&mut status, 21_800), "0 s · shell runs");
        status.see(&call("grep\u{1b}"), 22_000);
        assert_eq!(line(&mut status, 22_000), "0 s · grep␛ and 1 more run");
        for _ in 0..3 {
            status.see(&event(TOOL_RESULT, 0, json!({})), 23_000);
        }
        assert_eq!(line(&mut status, 23_000), "0 s · the model works");
        let retry =
            json!({ "step_id": "s", "attempt": 1, "delay_ms": 5_000, "class": "connect", "message": "m" });
        status.see(&event(RETRY_SCHEDULED, 24_000, retry), 24_000);
        assert_eq!(
            line(&mut status, 24_500),
            format!("waits until {} · 5 s left", clock_time(29_000, 24_500))
        );
        assert_eq!(line(&mut status, 31_000), "0 s · the model works");
    }
}
