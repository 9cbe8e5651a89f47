//! What the demo says and does in a step. It must not know how a wish is recognised or a tool is called.

use crate::history::{History, ToolResult};
use crate::step::{Step, ToolCall};
use crate::tools::{Purpose, call};
use crate::wish::{Wish, read_all};
use dispatch_sdk::contracts::message::ToolStatus;
use dispatch_sdk::contracts::provider::ToolOffer;
use std::fmt::Write as _;

/// How much of a tool's result an answer quotes.
pub(crate) const QUOTE_LINES_MAX: usize = 10;
/// The longest line of a quote, in characters.
pub(crate) const QUOTE_LINE_CHARS_MAX: usize = 200;
/// How many of the user's earlier messages an answer recalls, the latest ones.
pub(crate) const RECALLED_MAX: usize = 10;

const WHO: &str = "I am the demo provider, not a language model.";
const ABILITIES: &str = "I recognise a few simple requests and make real tool calls for them:\n\
    - `read Cargo.toml` shows a file\n\
    - `list the files in src` lists a directory\n\
    - run `echo hello` runs a command\n\
    - change `old` to `new` in `notes.txt` edits a file\n\
    - `then` between two of these does one after the other\n\
    - `what did I ask before?` repeats what you said\n\
    For real answers, add a provider to the build and give it an endpoint and a key.";

/// Decides on one step: the next thing that is wished, or the report when all is done or one of them was not.
pub(crate) fn step(history: &History, tools: &[ToolOffer]) -> Step {
    let wishes = read_all(&history.last);
    let went_well = |result: &ToolResult| result.status == ToolStatus::Ok && !result.is_error;
    let next = wishes.get(history.results.len()).filter(|_| history.results.iter().all(went_well));
    match next {
        Some(wish) => grant(wish, history, tools),
        None => say(history.results.iter().map(report).collect::<Vec<_>>().join("\n\n")),
    }
}

fn grant(wish: &Wish, history: &History, tools: &[ToolOffer]) -> Step {
    match wish {
        Wish::Read { path } => use_tool(Purpose::Read, &[path], &format!("read `{path}`"), tools),
        Wish::List { path } => {
            let command = format!("ls -la -- {}", shell_quoted(path));
            use_tool(Purpose::Run, &[&command], &format!("list `{path}`"), tools)
        }
        Wish::Run { command } => use_tool(Purpose::Run, &[command], &format!("run `{command}`"), tools),
        Wish::Change { path, old, new } => {
            let wish = format!("change `{old}` to `{new}` in `{path}`");
            use_tool(Purpose::Change, &[path, old, new], &wish, tools)
        }
        Wish::Recall => say(recall(&history.earlier)),
        Wish::Unclear { missing } => say(format!(
            "{WHO} I see that you mean a {missing}, but not which one: put it in backticks.\n\n{ABILITIES}"
        )),
        Wish::Other => say(format!("{WHO} {}{ABILITIES}", heard(history))),
    }
}

fn say(text: String) -> Step {
    Step { text, call: None }
}

fn use_tool(purpose: Purpose, values: &[&str], wish: &str, tools: &[ToolOffer]) -> Step {
    let tool_name = purpose.tool_name();
    match call(purpose, values, tools) {
        Some(tool_call) => {
            let ToolCall { name, args_text } = &tool_call;
            let text = format!("{WHO} You want me to {wish}, so I call `{name}` with `{args_text}`.");
            Step { text, call: Some(tool_call) }
        }
        None => {
            let names: Vec<String> = tools.iter().map(|tool| format!("`{}`", tool.name)).collect();
            let offered = if names.is_empty() { "no tool at all".to_owned() } else { names.join(", ") };
            say(format!("{WHO} To {wish} I need the tool `{tool_name}`, but I was offered {offered}."))
        }
    }
}

/// Tells what a tool answered, in its own words.
fn report(result: &ToolResult) -> String {
    let ToolResult { name, content, is_error, status } = result;
    let outcome = match status {
        ToolStatus::Ok if !is_error => "answered",
        ToolStatus::Ok | ToolStatus::Error => "failed",
        ToolStatus::Denied => "was denied, so nothing ran",
        ToolStatus::Cancelled => "was cancelled",
        ToolStatus::OutcomeUnknown => "was interrupted, and nobody knows how far it came",
    };
    if content.trim().is_empty() {
        return format!("`{name}` {outcome}; it said nothing.");
    }
    let n_lines = content.lines().count();
    let shown = match n_lines {
        1 => "it said".to_owned(),
        n if n <= QUOTE_LINES_MAX => format!("these are its {n} lines"),
        n => format!("these are the first {QUOTE_LINES_MAX} of its {n} lines"),
    };
    let fence = "`".repeat(longest_backticks(content).max(2) + 1);
    let mut text = format!("`{name}` {outcome}; {shown} (quoted by the demo, no model read it):\n{fence}\n");
    for line in content.lines().take(QUOTE_LINES_MAX) {
        let _ = writeln!(text, "{}", cut(line));
    }
    text.push_str(&fence);
    text
}

fn recall(earlier: &[String]) -> String {
    if earlier.is_empty() {
        return format!("{WHO} This is the first thing you said in this conversation.");
    }
    let first_idx = earlier.len().saturating_sub(RECALLED_MAX);
    let mut text = format!("{WHO} But I can read our conversation. Before this you said:");
    for (idx, said) in earlier.iter().enumerate().skip(first_idx) {
        let _ = write!(text, "\n{}. {}", idx + 1, one_line(said));
    }
    text
}

fn heard(history: &History) -> String {
    let said = one_line(&history.last);
    match (said.is_empty(), history.earlier.len()) {
        (true, _) => String::new(),
        (false, 0) => format!("You said: {said}\n\n"),
        (false, n) => format!("You said: {said} (after {n} earlier messages)\n\n"),
    }
}

fn one_line(text: &str) -> String {
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(QUOTE_LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn longest_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// One word for a POSIX shell; `~` at the beginning keeps its meaning.
fn shell_quoted(path: &str) -> String {
    let (home, rest) = match path.strip_prefix("~/") {
        Some(rest) => ("~/", rest),
        None if path == "~" => return path.to_owned(),
        None => ("", path),
    };
    format!("{home}'{}'", rest.replace('\'', r"'\''"))
}
