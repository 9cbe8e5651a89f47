//! The command line of `run`.

use crate::unrun::{Unrun, unrun};
use clap::{Arg, ArgAction, Command};
use dispatch_sdk::contracts::command::{CommandSpec, OptionSpec};

/// The command's name.
pub(crate) const RUN: &str = "run";
const SUMMARY: &str = "Says something to a conversation and shows the turn until it ends";

/// Name, name of its value (empty = a switch), one line.
const OPTIONS: [(&str, &str, &str); 6] = [
    ("conversation", "ID", "Go on with this conversation instead of a new one"),
    ("provider", "ID", "Use this provider"),
    ("model", "M", "Use this model of the provider"),
    ("engine", "ID", "Let this engine run the turn instead of the conversation's last, or the build's own"),
    ("cwd", "DIR", "Let tools work in this directory instead of the current one"),
    ("json", "", "Write each event as one line of JSON to standard output, and nothing else there"),
];
const PROMPT: (&str, &str) = (
    "PROMPT",
    "What to say, its words joined by a space; below them comes what standard input holds, if it is no terminal and begins within 3 s. `-` types it",
);

/// What `run` is asked to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RunArgs {
    pub(crate) conversation_id: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) engine: Option<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) json: bool,
    pub(crate) words: Vec<String>,
}

/// Reads the words after `dispatch run`.
pub(crate) fn parse(argv: &[String]) -> Result<RunArgs, Unrun> {
    let words = std::iter::once(RUN).chain(argv.iter().map(String::as_str));
    let matches = command().try_get_matches_from(words).map_err(|e| unrun(&e))?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Ok(RunArgs {
        conversation_id: text("conversation"),
        provider: text("provider"),
        model: text("model"),
        engine: text("engine"),
        cwd: text("cwd"),
        json: matches.get_flag("json"),
        words: matches.get_many::<String>(PROMPT.0).into_iter().flatten().cloned().collect(),
    })
}

/// The same, for help, completion and man page.
pub(crate) fn spec() -> CommandSpec {
    let option = |name: String, value: &str, summary: &str| OptionSpec {
        name,
        value: value.to_owned(),
        summary: summary.to_owned(),
    };
    let mut options: Vec<OptionSpec> =
        OPTIONS.iter().map(|(name, value, summary)| option(format!("--{name}"), value, summary)).collect();
    options.push(option(PROMPT.0.to_owned(), "", PROMPT.1));
    CommandSpec { name: RUN.to_owned(), summary: SUMMARY.to_owned(), options }
}

fn command() -> Command {
    let options = OPTIONS.into_iter().map(|(name, value, summary)| {
        let arg = Arg::new(name).long(name).help(summary);
        if value.is_empty() { arg.action(ArgAction::SetTrue) } else { arg.value_name(value) }
    });
    Command::new(RUN)
        .bin_name("dispatch run")
        .about(SUMMARY)
        .args(options)
        .arg(Arg::new(PROMPT.0).help(PROMPT.1).num_args(0..).action(ArgAction::Append))
}

#[cfg(test)]
mod tests;
