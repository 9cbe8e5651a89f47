//! Which paths a glob means.

use globset::{GlobBuilder, GlobMatcher};
use std::path::Path;

pub(crate) struct Names {
    matcher: GlobMatcher,
    is_absolute: bool,
}

impl Names {
    /// Errors: what the model is told.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let wrong = |found: &str| format!("the glob `{pattern}` cannot be used: {found}");
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

    /// An absolute pattern is about absolute paths, any other about those below `root`.
    pub(crate) fn is_match(&self, root: &Path, path: &Path) -> bool {
        let meant = if self.is_absolute { path } else { path.strip_prefix(root).unwrap_or(path) };
        self.matcher.is_match(meant)
    }
}
