//! The arguments of `glob` and `grep`, and what the model is told about them.

use crate::bounds::{GLOB_PATHS_MAX, GREP_MATCHES_MAX, LINE_CHARS_MAX, RESULTS_BYTES_MAX};
use dispatch_sdk::contracts::exec::{LinePattern, PatternKind, SEARCH_MS, SearchParams};
use dispatch_sdk::contracts::tool::{Effect, Locality, ToolSpec};
use dispatch_sdk::{Fault, whole_number};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value, json};

/// Characters of a pattern at most.
const PATTERN_CHARS_MAX: usize = 2_000;
/// Lines around a match at most, on each side.
const CONTEXT_LINES_MAX: u32 = 20;
/// The search ends itself before that, unless its file system hangs.
const TIMEOUT_MS: u64 = SEARCH_MS + 10_000;

#[derive(Debug, Deserialize)]
pub(crate) struct GlobArgs {
    pub(crate) pattern: String,
    #[serde(default = "here")]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) hidden: bool,
    #[serde(default)]
    pub(crate) ignored: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GrepArgs {
    pub(crate) pattern: String,
    #[serde(default = "here")]
    pub(crate) path: String,
    pub(crate) glob: Option<String>,
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Lines before and after each match.
    #[serde(default, deserialize_with = "context_lines")]
    pub(crate) context: usize,
    #[serde(default)]
    pub(crate) files_only: bool,
    #[serde(default)]
    pub(crate) hidden: bool,
    #[serde(default)]
    pub(crate) ignored: bool,
}

impl GlobArgs {
    pub(crate) fn params(&self, cwd: String) -> SearchParams {
        SearchParams {
            path: self.path.clone(),
            cwd,
            include: vec![self.pattern.clone()],
            hidden: self.hidden,
            ignored: self.ignored,
            hits_max: GLOB_PATHS_MAX,
            bytes_max: RESULTS_BYTES_MAX,
            time_ms: SEARCH_MS,
            ..SearchParams::default()
        }
    }
}

impl GrepArgs {
    pub(crate) fn params(&self, cwd: String) -> SearchParams {
        let lines = LinePattern {
            pattern: self.pattern.clone(),
            kind: PatternKind::Regex,
            ignore_case: self.ignore_case,
            context: self.context,
            files_only: self.files_only,
            line_chars_max: LINE_CHARS_MAX,
        };
        SearchParams {
            path: self.path.clone(),
            cwd,
            lines: Some(lines),
            include: self.glob.clone().into_iter().collect(),
            hidden: self.hidden,
            ignored: self.ignored,
            hits_max: GREP_MATCHES_MAX,
            bytes_max: RESULTS_BYTES_MAX,
            time_ms: SEARCH_MS,
            ..SearchParams::default()
        }
    }
}

/// Errors: `invalid`, naming the argument.
pub(crate) fn parse<T: DeserializeOwned>(args: Map<String, Value>) -> Result<T, Fault> {
    let is_bad = |name: &&str| {
        let text = args.get(*name).and_then(Value::as_str);
        text.is_some_and(|text| text.is_empty() || text.chars().count() > PATTERN_CHARS_MAX)
    };
    let bad = ["pattern", "path", "glob"].into_iter().find(is_bad);
    dispatch_sdk::arguments(args, |_| match bad {
        Some(name) => Err(format!("`{name}` must have from 1 to {PATTERN_CHARS_MAX} characters")),
        None => Ok(()),
    })
}

pub(crate) fn specs() -> Vec<ToolSpec> {
    vec![
        spec(
            "glob",
            format!(
                "Finds files by name below a directory, sorted by path, at most {GLOB_PATHS_MAX}. `*` and `?` \
                 stay within one name, `**` spans directories, `{{a,b}}` and `[a-z]` work. {SKIPPED}"
            ),
            json!({
                "pattern": text("Such as `*.rs` or `src/**/*.{ts,tsx}`. Without a `/` it is the name of a \
                    file at any depth, otherwise its path below `path`."),
                "path": text("Directory to search; by default the working directory."),
                "hidden": flag("Whether hidden files are looked at too."),
                "ignored": flag("Whether files that `.gitignore` names are looked at too."),
            }),
        ),
        spec(
            "grep",
            format!(
                "Finds lines that match a regular expression, in one file or all files below a directory. A match \
                 comes as `path:number: line`, a line around it as `path-number- line`; at most \
                 {GREP_MATCHES_MAX} matches, lines cut at {LINE_CHARS_MAX} characters. Binary files are \
                 skipped. {SKIPPED}"
            ),
            json!({
                "pattern": text("Regular expression in Rust's syntax; it matches within one line."),
                "path": text("File or directory to search; by default the working directory."),
                "glob": text("Only files whose name, or path below `path` if it has a `/`, matches, such as `*.rs`."),
                "ignore_case": flag("Whether upper and lower case are the same."),
                "context": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": CONTEXT_LINES_MAX,
                    "default": 0,
                    "description": "Lines to show before and after each match.",
                },
                "files_only": flag("Whether only the paths of files with a match are shown."),
                "hidden": flag("Whether hidden files are looked at too."),
                "ignored": flag("Whether files that `.gitignore` names are looked at too."),
            }),
        ),
    ]
}

const SKIPPED: &str = "Files that `.gitignore` names and hidden files are not searched unless asked for, what lies behind links never.";

fn spec(name: &str, description: String, properties: Value) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description,
        input_schema: json!({
            "type": "object",
            "properties": properties,
            "required": ["pattern"],
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        exclusive: false,
        locality: Locality::Any,
        timeout_ms: TIMEOUT_MS,
    }
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": PATTERN_CHARS_MAX, "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "default": false, "description": description })
}

fn here() -> String {
    ".".to_owned()
}

/// JSON Schema calls `2.0` an integer, and some models write it so.
fn context_lines<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let number = Number::deserialize(from)?;
    let lines = whole_number(&number).filter(|lines| *lines <= CONTEXT_LINES_MAX.into());
    lines.map(|lines| lines as usize).ok_or_else(|| {
        D::Error::custom(format!("`context` is {number}, but counts lines from 0 to {CONTEXT_LINES_MAX}"))
    })
}
