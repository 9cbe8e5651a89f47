//! `grep`: lines by a regular expression.

mod found;

use crate::args::GrepArgs;
use crate::grep::found::{Found, Wanted};
use crate::names::Names;
use crate::output::{GREP_MATCHES_MAX, Output, RESULTS_BYTES_MAX, not_looked_at};
use crate::place::{Origin, Place};
use crate::stop::Stop;
use crate::walk::{Also, Walked, walk};
use dispatch_sdk::contracts::tool::RunReply;
use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes of a compiled pattern, and of the cache it matches with.
const REGEX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that are held of a file; a longer line ends the search in it.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Errors: what the model is told.
pub(crate) fn grep(args: &GrepArgs, origin: &Origin<'_>, stop: &Stop) -> Result<RunReply, String> {
    let matcher = matcher(args)?;
    let names = args.glob.as_deref().map(Names::new).transpose()?;
    let place = Place::resolve(origin, &args.path)?;
    let mut grep = Grep {
        args,
        stop,
        matcher,
        searcher: searcher(args.context),
        place: &place,
        output: Output::default(),
        n_files: 0,
        n_binary: 0,
    };
    let walked = if place.is_directory {
        walk(&place, args.also(), stop, |entry, walked| {
            let is_meant = entry.file_type().is_some_and(|kind| kind.is_file())
                && names.as_ref().is_none_or(|names| names.is_match(&place.root, entry.path()));
            if is_meant { grep.look_into(entry.path(), walked) } else { ControlFlow::Continue(()) }
        })
    } else {
        let mut walked = Walked::default();
        // Nothing follows, whether it has been enough or not.
        let _ = grep.look_into(&place.root, &mut walked);
        if grep.n_binary > 0 {
            return Err(format!("cannot search `{}`: it is a binary file", args.path));
        }
        walked
    };
    Ok(grep.answer(&walked))
}

fn matcher(args: &GrepArgs) -> Result<RegexMatcher, String> {
    let mut builder = RegexMatcherBuilder::new();
    builder
        .case_insensitive(args.ignore_case)
        .multi_line(true)
        .crlf(true)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX);
    builder.build(&args.pattern).map_err(|e| {
        // What grep-regex parses is the pattern in a group; where it is wrong is told of the pattern as it was given.
        let found = regex::Regex::new(&args.pattern).err().map_or_else(|| e.to_string(), |e| e.to_string());
        format!("the regular expression `{}` cannot be used: {found}", args.pattern)
    })
}

fn searcher(context: usize) -> Searcher {
    SearcherBuilder::new()
        .line_terminator(LineTerminator::crlf())
        .line_number(true)
        .before_context(context)
        .after_context(context)
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(HELD_BYTES_MAX))
        .build()
}

/// One search over many files.
struct Grep<'a> {
    args: &'a GrepArgs,
    stop: &'a Stop,
    matcher: RegexMatcher,
    searcher: Searcher,
    place: &'a Place,
    output: Output,
    /// Files with a match.
    n_files: usize,
    n_binary: usize,
}

impl GrepArgs {
    fn also(&self) -> Also {
        Also { hidden: self.hidden, ignored: self.ignored }
    }
}

impl Grep<'_> {
    fn look_into(&mut self, path: &Path, walked: &mut Walked) -> ControlFlow<()> {
        let Ok(opened) = self.place.open_regular(path) else {
            walked.n_unread += 1;
            return ControlFlow::Continue(());
        };
        let Some(file) = opened else { return ControlFlow::Continue(()) };
        let name = self.place.shown(path);
        let wanted = Wanted {
            matches: if self.args.files_only { 1 } else { GREP_MATCHES_MAX - self.output.n_found },
            bytes: RESULTS_BYTES_MAX - self.output.text.len(),
            groups: self.args.context > 0 && self.n_files > 0,
        };
        let mut found = Found::new(&name, wanted);
        let watched = Watched { file, stop: self.stop };
        let searched = self.searcher.search_reader(&self.matcher, watched, &mut found);
        if searched.is_err() {
            walked.stopped = self.stop.reached();
            walked.n_unread += u64::from(walked.stopped.is_none());
        }
        let is_enough = self.take(&name, found);
        if is_enough || walked.stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// True when no more fits.
    fn take(&mut self, name: &str, found: Found<'_>) -> bool {
        if found.is_binary {
            self.n_binary += 1;
            return false;
        }
        if self.args.files_only {
            let is_hit = found.n_matches > 0 || found.more;
            let fits = !is_hit || self.output.push_path(name);
            self.n_files += usize::from(is_hit && fits);
            return !fits;
        }
        self.n_files += usize::from(found.n_matches > 0);
        self.output.n_found += found.n_matches;
        self.output.text.push_str(&found.text);
        self.output.more = found.more;
        found.more
    }

    fn answer(self, walked: &Walked) -> RunReply {
        let args = self.args;
        let detail = json!({
            "matches": if args.files_only { None } else { Some(self.output.n_found) },
            "files": self.n_files,
            "more": self.output.more || walked.stopped.is_some(),
        });
        let nothing = if !self.place.is_directory {
            format!("(no line of `{}` matches)", args.path)
        } else {
            format!("(no line below `{}` matches{})", args.path, not_looked_at(args.also(), Some("binary")))
        };
        let what = if args.files_only { "files" } else { "matches" };
        RunReply {
            content: self.output.finish(what, &nothing, walked),
            is_error: false,
            detail,
            ..RunReply::default()
        }
    }
}

/// A file whose reading ends when the search does.
struct Watched<'a> {
    file: File,
    stop: &'a Stop,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.stop.reached() {
            Some(_) => Err(io::Error::other("the search has ended")),
            None => self.file.read(into),
        }
    }
}
