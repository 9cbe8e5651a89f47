//! Live output of running tools: line by line as it comes where a person watches, else the last lines at the end.

use crate::screen::Screen;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::ToolOutput;
use dispatch_sdk::contracts::plain::one_line;
use std::collections::HashMap;

/// Longest line that is shown, in characters.
const LINE_CHARS_MAX: usize = 400;
/// Output kept of each call: its last lines, or the line that is not whole yet.
const KEPT_BYTES_MAX: usize = 4096;
/// Lines shown of a call at its end, where nobody watched.
const LAST_LINES_MAX: usize = 5;
/// Lines shown of a call as they come; of the rest only the last ones, at its end.
const LIVE_LINES_MAX: usize = 200;
/// Calls whose output is kept at a time; that of further ones is not shown.
const CALLS_MAX: usize = 64;

/// The output of every running call.
#[derive(Default)]
pub(crate) struct Outputs {
    of_call: HashMap<String, Output>,
}

#[derive(Default)]
struct Output {
    kept: String,
    n_shown: usize,
}

impl Outputs {
    /// Shows what is whole of it, or keeps it; `name` stands before each line when several tools run.
    pub(crate) async fn push(
        &mut self,
        screen: &mut Screen,
        output: &ToolOutput,
        name: Option<&str>,
    ) -> Result<(), Fault> {
        if self.of_call.len() >= CALLS_MAX && !self.of_call.contains_key(&output.tool_call_id) {
            return Ok(());
        }
        let of = self.of_call.entry(output.tool_call_id.clone()).or_default();
        of.kept.push_str(&output.text);
        if screen.is_watched() {
            while of.n_shown < LIVE_LINES_MAX
                && let Some(end) = of.kept.find('\n')
            {
                let line: String = of.kept.drain(..=end).collect();
                screen.end_text().await?;
                screen.note(&shown(&line, name)).await?;
                of.n_shown += 1;
            }
        }
        if of.kept.len() > KEPT_BYTES_MAX {
            let from = of.kept.ceil_char_boundary(of.kept.len() - KEPT_BYTES_MAX);
            of.kept.drain(..from);
        }
        Ok(())
    }

    /// The call is done: shows its last lines, as far as they were not shown.
    pub(crate) async fn end(
        &mut self,
        screen: &mut Screen,
        tool_call_id: &str,
        name: Option<&str>,
    ) -> Result<(), Fault> {
        let Some(of) = self.of_call.remove(tool_call_id) else { return Ok(()) };
        let lines: Vec<&str> = of.kept.lines().collect();
        for line in &lines[lines.len().saturating_sub(LAST_LINES_MAX)..] {
            screen.note(&shown(line, name)).await?;
        }
        Ok(())
    }
}

fn shown(line: &str, name: Option<&str>) -> String {
    let line = one_line(line, LINE_CHARS_MAX);
    match name {
        Some(name) => format!("  {name} │ {line}"),
        None => format!("  │ {line}"),
    }
}
