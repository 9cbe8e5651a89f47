//! `dispatch explain`: what happened in a turn, for a person or as one JSON document.

use crate::cli::Cli;
use crate::ops::{json, op_verb};
use crate::runs::Run;
use crate::unrun::{Unrun, show_unrun, unrun};
use crate::{exit, explained};
use clap::{Arg, ArgAction, Command};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::command::{CommandSpec, MainParams, OptionSpec};
use dispatch_sdk::contracts::fault::BROKEN;
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::contracts::turns::{ExplainParams, ExplainReply};

/// The command's name.
pub(crate) const EXPLAIN: &str = "explain";
const SUMMARY: &str = "Tells what happened in a turn, step by step, from the conversation's log";
const CONVERSATION: (&str, &str) = ("CONVERSATION", "The conversation");
const TURN: (&str, &str) = ("TURN", "The turn; without it the newest");
const JSON: (&str, &str) = ("json", "Write one JSON document to standard output");

/// What `explain` is asked for.
#[derive(Debug, PartialEq, Eq)]
struct ExplainArgs {
    params: ExplainParams,
    json: bool,
}

/// The command, for help, completion and man page.
pub(crate) fn spec() -> CommandSpec {
    let option = |name: &str, summary: &str| OptionSpec {
        name: name.to_owned(),
        value: String::new(),
        summary: summary.to_owned(),
    };
    let options = vec![
        option(&format!("--{}", JSON.0), JSON.1),
        option(CONVERSATION.0, CONVERSATION.1),
        option(TURN.0, TURN.1),
    ];
    CommandSpec { name: EXPLAIN.to_owned(), summary: SUMMARY.to_owned(), options }
}

impl Cli {
    pub(crate) async fn explain(&self, run: &Run, params: &MainParams) -> Result<u8, Fault> {
        let args = match parse(&params.argv) {
            Ok(args) => args,
            Err(unrun) => return show_unrun(run, unrun).await,
        };
        let reply = self.root(&run.call).call_raw(&op_verb("turns.explain"), json(&args.params)).await?;
        let mut screen = run.screen.lock().await;
        if args.json {
            let text = std::str::from_utf8(&reply)
                .map_err(|e| Fault::new(BROKEN, format!("the explanation is not UTF-8: {e}")))?;
            screen.json(text).await?;
        } else {
            let reply: ExplainReply = serde_json::from_slice(&reply)
                .map_err(|e| Fault::new(BROKEN, format!("cannot read the answer of `turns.explain`: {e}")))?;
            screen.page(OutputStream::Stdout, &explained::page(&reply)).await?;
        }
        Ok(exit::OK)
    }
}

fn parse(argv: &[String]) -> Result<ExplainArgs, Unrun> {
    let words = std::iter::once(EXPLAIN).chain(argv.iter().map(String::as_str));
    let matches = command().try_get_matches_from(words).map_err(|e| unrun(&e))?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let conversation_id = text(CONVERSATION.0).expect("clap refuses a line without it");
    let params = ExplainParams { conversation_id, turn_id: text(TURN.0) };
    Ok(ExplainArgs { params, json: matches.get_flag(JSON.0) })
}

fn command() -> Command {
    Command::new(EXPLAIN)
        .bin_name("dispatch explain")
        .about(SUMMARY)
        .arg(Arg::new(CONVERSATION.0).help(CONVERSATION.1).required(true))
        .arg(Arg::new(TURN.0).help(TURN.1))
        .arg(Arg::new(JSON.0).long(JSON.0).help(JSON.1).action(ArgAction::SetTrue))
}
