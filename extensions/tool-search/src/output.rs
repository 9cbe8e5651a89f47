//! What was found as the model reads it: bounded text, and the notes that end it.
//!
//! It must not know how it was found.

use crate::args::{GlobArgs, GrepArgs};
use crate::bounds::RESULTS_BYTES_MAX;
use dispatch_sdk::contracts::exec::{
    FileKind, FoundLine, IGNORE_BYTES_MAX, IGNORE_FILE_BYTES_MAX, SEARCH_MS, SearchReply, SearchStop,
};
use dispatch_sdk::contracts::tool::RunReply;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The answer of `glob`.
pub(crate) fn paths(args: &GlobArgs, reply: SearchReply) -> RunReply {
    let mut shown = Shown::of_paths(&reply);
    let nothing =
        format!("(no file below `{}` matches{})", args.path, not_looked_at(args.hidden, args.ignored, None));
    shown.finish("paths", &nothing, &reply);
    let detail = json!({ "paths": shown.n_found, "more": shown.more || reply.stopped.is_some() });
    shown.answer(detail)
}

/// The answer of `grep`.
pub(crate) fn lines(args: &GrepArgs, reply: SearchReply) -> RunReply {
    let mut shown =
        if args.files_only { Shown::of_paths(&reply) } else { Shown::of_lines(&reply, args.context > 0) };
    let nothing = if reply.kind == FileKind::Directory {
        let not_looked_at = not_looked_at(args.hidden, args.ignored, Some("binary"));
        format!("(no line below `{}` matches{not_looked_at})", args.path)
    } else {
        format!("(no line of `{}` matches)", args.path)
    };
    shown.finish(if args.files_only { "files" } else { "matches" }, &nothing, &reply);
    let detail = json!({
        "matches": if args.files_only { None } else { Some(shown.n_found) },
        "files": shown.n_files,
        "more": shown.more || reply.stopped.is_some(),
    });
    shown.answer(detail)
}

/// As much of a page as fits.
#[derive(Default)]
struct Shown {
    text: String,
    n_found: usize,
    n_files: usize,
    /// There is more than is shown.
    more: bool,
}

impl Shown {
    fn of_paths(reply: &SearchReply) -> Self {
        let mut shown = Self { more: reply.more, ..Self::default() };
        for file in &reply.files {
            if !shown.push(format_args!("{}\n", one_line(&file.path))) {
                break;
            }
            shown.n_found += 1;
            shown.n_files += 1;
        }
        shown
    }

    /// A match comes as `path:number: line`, a line around it as `path-number- line`, groups of them divided by `--`.
    fn of_lines(reply: &SearchReply, in_groups: bool) -> Self {
        let mut shown = Self { more: reply.more, ..Self::default() };
        for file in &reply.files {
            let path = one_line(&file.path);
            let mut follows = None;
            for line in &file.lines {
                let is_apart = in_groups && !shown.text.is_empty() && follows != Some(line.number);
                let (apart, mark) =
                    (if is_apart { "--\n" } else { "" }, if line.matches { ':' } else { '-' });
                let FoundLine { number, text, cut_of_bytes, .. } = line;
                let cut = match cut_of_bytes {
                    0 => String::new(),
                    n_bytes => format!(" [line cut: {n_bytes} bytes in all]"),
                };
                if !shown.push(format_args!("{apart}{path}{mark}{number}{mark} {text}{cut}\n")) {
                    return shown;
                }
                shown.n_files += usize::from(follows.is_none());
                shown.n_found += usize::from(line.matches);
                follows = Some(number + 1);
            }
        }
        shown
    }

    /// False when it does not fit.
    fn push(&mut self, line: std::fmt::Arguments<'_>) -> bool {
        let before = self.text.len();
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(line);
        let fits = self.text.len() <= RESULTS_BYTES_MAX;
        if !fits {
            self.text.truncate(before);
            self.more = true;
        }
        fits
    }

    /// Says what is missing, or that there is nothing.
    fn finish(&mut self, what: &str, nothing: &str, reply: &SearchReply) {
        let text = &mut self.text;
        if self.n_found == 0 && !self.more {
            let _ = writeln!(text, "{nothing}");
        }
        if self.more {
            let n_found = self.n_found;
            let _ = writeln!(
                text,
                "[there is more than these {n_found} {what}; narrow the search with `path` or the pattern]"
            );
        }
        match reply.stopped {
            Some(SearchStop::Cancelled) => text.push_str("[cancelled before everything was searched]\n"),
            Some(SearchStop::OutOfTime) => {
                let _ = writeln!(
                    text,
                    "[stopped after {} s before everything was searched; narrow the search with `path`]",
                    SEARCH_MS / 1_000
                );
            }
            Some(SearchStop::Unknown) => {
                text.push_str("[stopped before everything was searched; narrow the search with `path`]\n");
            }
            None => {}
        }
        if reply.ignores_cut {
            let _ = writeln!(
                text,
                "[ignore files were not read to their end: a file counts up to {IGNORE_FILE_BYTES_MAX} bytes, all of \
                 them up to {IGNORE_BYTES_MAX}; narrow the search with `path`]"
            );
        }
        if reply.n_unread > 0 {
            let n_unread = reply.n_unread;
            let _ = writeln!(text, "[{n_unread} files or directories could not be read to their end]");
        }
        if reply.n_too_large > 0 {
            let _ = writeln!(
                text,
                "[{} directories have more names, or lie deeper, than is searched; name them with `path`]",
                reply.n_too_large
            );
        }
    }

    fn answer(self, detail: Value) -> RunReply {
        RunReply { content: self.text, detail, ..RunReply::default() }
    }
}

/// The end of the sentence that nothing matches: which files nobody looked at, and how to have them looked at.
fn not_looked_at(hidden: bool, ignored: bool, more: Option<&str>) -> String {
    let hidden = (!hidden).then_some("hidden (see `hidden`)");
    let ignored = (!ignored).then_some("ignored (see `ignored`)");
    let kinds: Vec<&str> = [hidden, ignored, more].into_iter().flatten().collect();
    match kinds.split_last() {
        None => String::new(),
        Some((last, [])) => format!("; {last} files were not looked at"),
        Some((last, others)) => format!("; {} and {last} files were not looked at", others.join(", ")),
    }
}

/// A path must not look like two lines.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
