//! `approvals.v1/ask`: the question on the terminal of the `run` that shows the conversation.
//!
//! Nothing is answered that was not shown whole, and nothing typed before a question answers it.

use crate::cli::{Cli, actor_of};
use crate::question::{Shown, shown};
use crate::runs::Run;
use crate::screen::Screen;
use dispatch_sdk::contracts::command::{Question, Read, ReadParams, ReadReply};
use dispatch_sdk::contracts::fault::{CANCELLED, UNAVAILABLE};
use dispatch_sdk::contracts::plain::one_line;
use dispatch_sdk::contracts::tool::Effect;
use dispatch_sdk::contracts::turn::{AllowScope, AskParams, AskReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

const NAME_CHARS_MAX: usize = 80;
const ANSWER_BYTES_MAX: u64 = 256;
/// Lines shown at once; the next ones come when they are asked for.
const PAGE_LINES: usize = 40;

impl Cli {
    /// Errors: `unavailable` when no `run` shows the conversation.
    pub(crate) async fn ask(self: Arc<Self>, call: Call, params: AskParams) -> Result<AskReply, Fault> {
        let effect = effect_word(params.effect);
        let answer = async {
            match self.runs.of_conversation(&params.conversation_id).await {
                Some(run) if run.tty.stdin && run.tty.stderr => question(&run, &params, effect).await,
                Some(_) => {
                    let reason = format!("there is no terminal to ask on; allow it with `--allow {effect}`");
                    Ok(AskReply::deny(reason))
                }
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
    screen.end_text().await?;
    let tool = one_line(&asked.tool, NAME_CHARS_MAX);
    screen.asked(&format!("? {tool} wants to {}", doing(asked.effect))).await?;
    let lines = match shown(&asked.args) {
        Shown::Lines(lines) => lines,
        Shown::TooLong { n_lines } => {
            screen.note(&format!("  denied: {n_lines} lines are more than can be shown here")).await?;
            let reason = format!(
                "its arguments have {n_lines} lines, too many to be shown to anybody; do it in smaller parts"
            );
            return Ok(AskReply::deny(reason));
        }
    };
    for (idx, page) in lines.chunks(PAGE_LINES).enumerate() {
        for line in page {
            screen.asked(line).await?;
        }
        let n_shown = idx * PAGE_LINES + page.len();
        if n_shown < lines.len() {
            let prompt = format!("  {n_shown} of {} lines; [Enter] shows more, [n]o refuses ", lines.len());
            let reply = answer(run, &screen, &prompt).await?;
            if reply.eof || matches!(reply.text.trim().to_lowercase().as_str(), "n" | "no") {
                return refused(run, &mut screen, &reply).await;
            }
        }
    }
    let prompt = format!("  allow this {effect}? [y]es / [a]lways in this conversation / [N]o ");
    let reply = answer(run, &screen, &prompt).await?;
    match reply.text.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(AskReply::allow(AllowScope::Once, actor_of(&run.call))),
        "a" | "always" => Ok(AskReply::allow(AllowScope::Conversation, actor_of(&run.call))),
        _ => refused(run, &mut screen, &reply).await,
    }
}

/// One line that was typed after the prompt stood there.
async fn answer(run: &Run, screen: &Screen, prompt: &str) -> Result<ReadReply, Fault> {
    let question = Some(Question { after_frames: screen.n_frames(), prompt: prompt.to_owned() });
    run.call
        .host()
        .call(Read, &ReadParams { bytes_max: ANSWER_BYTES_MAX, line: true, question, first_within_ms: 0 })
        .await
}

async fn refused(run: &Run, screen: &mut Screen, reply: &ReadReply) -> Result<AskReply, Fault> {
    if reply.eof {
        screen.asked("").await?;
    }
    Ok(AskReply::Deny { reason: "the user said no".to_owned(), by: actor_of(&run.call) })
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
