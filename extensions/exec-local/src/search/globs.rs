//! Which paths are meant by globs.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{SEARCH_GLOBS_MAX, SEARCH_PATTERN_BYTES_MAX};
use dispatch_sdk::fault::INVALID;
use globset::{GlobBuilder, GlobMatcher};
use std::path::Path;

/// Those that include and those that exclude.
pub(crate) struct Globs {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

struct Glob {
    matcher: GlobMatcher,
    is_absolute: bool,
}

impl Globs {
    /// Errors: `invalid`, naming the glob.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, Fault> {
        let n_globs = include.len() + exclude.len();
        if n_globs > SEARCH_GLOBS_MAX {
            let message = format!("{n_globs} globs are more than {SEARCH_GLOBS_MAX}; use fewer");
            return Err(Fault::new(INVALID, message));
        }
        let globs =
            |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect::<Result<_, _>>();
        Ok(Self { include: globs(include)?, exclude: globs(exclude)? })
    }

    /// Whether a file is meant; `below` is its path below the place that is searched.
    pub(crate) fn is_match(&self, path: &Path, below: &Path) -> bool {
        (self.include.is_empty() || self.include.iter().any(|glob| glob.is_match(path, below)))
            && !self.excludes(path, below)
    }

    /// Whether a file, or all of a directory, is left out.
    pub(crate) fn excludes(&self, path: &Path, below: &Path) -> bool {
        self.exclude.iter().any(|glob| glob.is_match(path, below))
    }
}

impl Glob {
    fn new(pattern: &str) -> Result<Self, Fault> {
        let wrong =
            |found: &str| Fault::new(INVALID, format!("the glob `{pattern}` cannot be used: {found}"));
        if pattern.len() > SEARCH_PATTERN_BYTES_MAX {
            let n_bytes = pattern.len();
            let message = format!("a glob has {n_bytes} bytes, more than {SEARCH_PATTERN_BYTES_MAX}");
            return Err(Fault::new(INVALID, message));
        }
        let trimmed = pattern.strip_prefix("./").unwrap_or(pattern);
        if trimmed.split('/').any(|part| part == "..") {
            return Err(wrong("`..` matches nothing; say with `path` where to search"));
        }
        if trimmed.is_empty() || trimmed.ends_with('/') {
            return Err(wrong("it names a directory; files below it are `dir/**`"));
        }
        let at_any_depth = !trimmed.contains('/');
        let whole = if at_any_depth { format!("**/{trimmed}") } else { trimmed.to_owned() };
        let built = GlobBuilder::new(&whole).literal_separator(true).build();
        let matcher = built.map_err(|e| wrong(&e.kind().to_string()))?.compile_matcher();
        Ok(Self { matcher, is_absolute: trimmed.starts_with('/') })
    }

    /// An absolute pattern is about absolute paths, any other about those below the place that is searched.
    fn is_match(&self, path: &Path, below: &Path) -> bool {
        self.matcher.is_match(if self.is_absolute { path } else { below })
    }
}
