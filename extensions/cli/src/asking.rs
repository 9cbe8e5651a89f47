//! `approvals.v1/ask`: the question on the terminal of the `run` that shows the conversation.

use crate::Cli;
use crate::plain::one_line;
use crate::runs::Run;
use dispatch_sdk::contracts::command::{Read, ReadParams};
use dispatch_sdk::contracts::fault::{CANCELLED, UNAVAILABLE};
use dispatch_sdk::contracts::tool::Effect;
use dispatch_sdk::contracts::turn::{AllowScope, AskParams, AskReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

/// Most characters of the arguments shown; a person is told when there are more.
const ARGS_CHARS_MAX: usize = 4_000;
const NAME_CHARS_MAX: usize = 80;
const ANSWER_BYTES_MAX: u64 = 256;

impl Cli {
    /// Errors: `unavailable` when no `run` shows the conversation.
    pub(crate) async fn ask(self: Arc<Self>, call: Call, params: AskParams) -> Result<AskReply, Fault> {
        let effect = effect_word(params.effect);
        let answer = async {
            match self.runs.of_conversation(&params.conversation_id).await {
                Some(run) if run.tty.stdin && run.tty.stderr => question(&run, &params, effect).await,
                Some(_) => Ok(AskReply::Deny {
                    reason: format!("there is no terminal to ask on; allow it with `--allow {effect}`"),
                }),
                None => Err(Fault::new(UNAVAILABLE, "no `run` shows this conversation on a terminal")),
            }
        };
        tokio::select! {
            biased;
            () = call.cancelled() => Err(Fault::new(CANCELLED, "the question is not open any more")),
            answer = answer => answer,
        }
    }
}

async fn question(run: &Run, asked: &AskParams, effect: &str) -> Result<AskReply, Fault> {
    // Held until the answer: one question at a time, and nothing scrolls it away.
    let mut screen = run.screen.lock().await;
    let args = asked.args.to_string();
    let n_chars = args.chars().count();
    screen.end_text().await?;
    screen
        .note(&format!("? {} wants to {}", one_line(&asked.tool, NAME_CHARS_MAX), doing(asked.effect)))
        .await?;
    screen.note(&format!("  {}", one_line(&args, ARGS_CHARS_MAX))).await?;
    if n_chars > ARGS_CHARS_MAX {
        screen.note(&format!("  (and {} more characters)", n_chars - ARGS_CHARS_MAX)).await?;
    }
    screen.prompt(&format!("  allow this {effect}? [y]es / [a]lways in this conversation / [N]o ")).await?;
    let read = ReadParams { bytes_max: ANSWER_BYTES_MAX, line: true };
    let reply = run.call.host().call(Read, &read).await?;
    Ok(match reply.text.trim().to_lowercase().as_str() {
        "y" | "yes" => AskReply::Allow { scope: AllowScope::Once },
        "a" | "always" => AskReply::Allow { scope: AllowScope::Conversation },
        _ => {
            if reply.eof {
                screen.note("").await?;
            }
            AskReply::Deny { reason: "the user said no".to_owned() }
        }
    })
}

const fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Exec => "exec",
    }
}

const fn doing(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "change something",
        Effect::Exec => "run a program",
    }
}
