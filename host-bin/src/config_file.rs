//! Files of configuration: what they are called, whether they are believed, and what is told of one that cannot be read.
//!
//! It must not know what their values mean, or which layer they make.

use crate::exit::Refusal;
use crate::ownership;
use dispatch_compose::{ConfigFile, Problems};
use std::path::Path;

/// Of the user's configuration, and of a project's.
pub(crate) const FILE: &str = "config.toml";

/// Refuses the user's own file if somebody else may have written it.
pub(crate) fn believe(path: &Path) -> Result<(), Refusal> {
    match std::fs::metadata(path).ok().and_then(|meta| ownership::doubt(path, &meta)) {
        Some(doubt) => Err(Refusal::config(format!("cannot use {}: {doubt}", path.display()))),
        None => Ok(()),
    }
}

/// Reads a configuration file within its bounds; `None` if there is none.
pub(crate) fn read_file(path: &Path) -> Result<Option<ConfigFile>, Refusal> {
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => ConfigFile::read(path).map(Some).map_err(|problems| unreadable(path, &problems)),
    }
}

/// The messages alone: the lines they are about may hold a key.
pub(crate) fn unreadable(path: &Path, problems: &Problems) -> Refusal {
    let line = |problem: &dispatch_compose::Problem| {
        let place = problem.excerpt.as_ref().map(|excerpt| format!("line {}: ", excerpt.line));
        let help = problem.help.as_ref().map(|help| format!("; {help}"));
        format!("{}{}{}", place.unwrap_or_default(), problem.message, help.unwrap_or_default())
    };
    let lines: Vec<String> = problems.0.iter().map(line).collect();
    Refusal::config(format!("cannot read {}: {}", path.display(), lines.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_a_file_is_told_by_its_line_and_not_by_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, "[a]\napi_key = \"sk-canary\" x\n").unwrap();
        let message = read_file(&path).unwrap_err().message;
        assert!(message.contains("line 2: ") && !message.contains("canary"), "{message}");
        assert!(read_file(&dir.path().join("none.toml")).unwrap().is_none());
    }
}
