//! Follows `include` from file to file and merges what they say, the including file last.
//!
//! It must not know what an entry means.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BUILD_BYTES_MAX, BuildList, INSTANCES_MAX, Sheet};
use crate::document::{self, Reader, quoted};
use crate::nearest::nearest;
use crate::problem::{Problem, Problems, shown};
use crate::source::{Placed, Source};

/// The longest chain of files including one another.
pub const INCLUDE_DEPTH_MAX: usize = 8;
/// The most files one build is made of, each counted as often as it is included.
pub const INCLUDED_FILES_MAX: usize = 64;

impl BuildList {
    /// Reads a build list and all that it includes, or tells all that is wrong with any of them.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::read_among(path, &[])
    }

    /// The same; an include without a `/` and without `.toml` that is the name of one of `carried`, path and text, is that
    /// one, and no file is looked at.
    pub fn read_among(path: &Path, carried: &[(PathBuf, &str)]) -> Result<Self, Problems> {
        Self::merged(Source::read(path, BUILD_BYTES_MAX)?, carried)
    }

    /// Parses a build list that is already in memory; its includes are read from beside `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        Self::parse_among(path, text, &[])
    }

    /// The same; an include that names one of `carried`, by its name or by its path, is that one.
    pub fn parse_among(path: &Path, text: &str, carried: &[(PathBuf, &str)]) -> Result<Self, Problems> {
        Self::merged(Source::from_bytes(path, text.as_bytes(), BUILD_BYTES_MAX)?, carried)
    }

    fn merged(source: Arc<Source>, carried: &[(PathBuf, &str)]) -> Result<Self, Problems> {
        let path = source.path.clone();
        let (list, mut problems) = load(source, carried);
        if list.entries.len() > INSTANCES_MAX {
            let message =
                format!("the build has {} instances, at most {INSTANCES_MAX} run", list.entries.len());
            problems.push(Problem::of_file(&path, message));
        }
        Problems(problems).none_or(|| list)
    }
}

/// Reads `source` and all it includes; what could be read comes along with all that is wrong.
///
/// An include that names one of `carried`, path and text, by path or by file stem is that one.
fn load(source: Arc<Source>, carried: &[(PathBuf, &str)]) -> (BuildList, Vec<Problem>) {
    let mut loader = Loader { carried, chain: Vec::new(), files: 0, problems: Vec::new() };
    let list = loader.load(&source);
    (list, loader.problems)
}

struct Loader<'a> {
    carried: &'a [(PathBuf, &'a str)],
    /// The files that are being read, outermost first.
    chain: Vec<Link>,
    files: usize,
    problems: Vec<Problem>,
}

struct Link {
    shown: PathBuf,
    real: PathBuf,
}

impl Loader<'_> {
    fn load(&mut self, source: &Arc<Source>) -> BuildList {
        let mut list = BuildList::empty(&source.path);
        let document = match document::parse(source) {
            Ok(document) => document,
            Err(problems) => {
                self.problems.extend(problems);
                return list;
            }
        };
        let mut reader = Reader::new(source);
        let sheet = Sheet::read(&mut reader, document.get_ref(), &source.path);
        self.chain.push(Link { shown: source.path.clone(), real: real(&source.path) });
        for include in &sheet.include {
            if let Some(included) = self.open(include, &source.path) {
                list.take_over(self.load(&included));
            }
        }
        self.chain.pop();
        list.exclude(&mut reader, &sheet.exclude);
        list.take_over(sheet.own);
        self.problems.extend(reader.finish());
        list
    }

    /// Opens an included file, unless it is open already or one too many.
    fn open(&mut self, include: &Placed<String>, from: &Path) -> Option<Arc<Source>> {
        let path = self.path_of(include, from);
        if let Some(problem) = self.refusal(&path, include) {
            self.problems.push(problem);
            return None;
        }
        self.files += 1;
        if self.files > INCLUDED_FILES_MAX {
            // Told once: each of the many files may hold many includes.
            if self.files == INCLUDED_FILES_MAX + 1 {
                let message = format!("the build is made of more than {INCLUDED_FILES_MAX} files");
                self.problems.push(include.place.problem(message));
            }
            return None;
        }
        let carried = self.carried.iter().find(|(known, _)| *known == path);
        let source = match carried {
            Some((_, text)) => Source::from_bytes(&path, text.as_bytes(), BUILD_BYTES_MAX),
            None => Source::read(&path, BUILD_BYTES_MAX),
        };
        match source {
            Ok(source) => Some(source),
            Err(Problems(problems)) => {
                let help = self.help(include);
                let blamed = problems.into_iter().map(|problem| blamed_on(include, problem));
                self.problems.extend(blamed.map(|problem| match &help {
                    Some(help) if problem.help.is_none() => problem.help(help.clone()),
                    _ => problem,
                }));
                None
            }
        }
    }

    /// A bare name is a carried list's, if there is one; all else is relative to the including file.
    fn path_of(&self, include: &Placed<String>, from: &Path) -> PathBuf {
        let carried =
            || self.carried.iter().find(|(path, _)| path.file_stem() == Some(include.value.as_ref()));
        match is_name(&include.value).then(carried).flatten() {
            Some((path, _)) => path.clone(),
            None => from.parent().unwrap_or(Path::new("")).join(&include.value),
        }
    }

    /// What a bare name that was not found may have meant.
    fn help(&self, include: &Placed<String>) -> Option<String> {
        let names: Vec<&str> =
            self.carried.iter().filter_map(|(path, _)| path.file_stem()?.to_str()).collect();
        if !is_name(&include.value) || names.is_empty() {
            return None;
        }
        Some(match nearest(&include.value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the names that can be included are {}; a file ends in `.toml`", quoted(&names)),
        })
    }

    fn refusal(&self, path: &Path, include: &Placed<String>) -> Option<Problem> {
        let real = real(path);
        if let Some(first) = self.chain.iter().position(|link| link.real == real) {
            let links = self.chain[first..].iter().chain([&self.chain[first]]);
            let cycle: Vec<String> = links.map(|link| link.shown.display().to_string()).collect();
            return Some(include.place.problem(format!("files include one another: {}", cycle.join(" -> "))));
        }
        if self.chain.len() >= INCLUDE_DEPTH_MAX {
            let message = format!("more than {INCLUDE_DEPTH_MAX} files include one another in a chain");
            return Some(include.place.problem(message));
        }
        None
    }
}

fn is_name(text: &str) -> bool {
    !text.contains('/') && !text.ends_with(".toml")
}

/// Points at the `include` when the included file has no line to point at.
fn blamed_on(include: &Placed<String>, problem: Problem) -> Problem {
    if problem.excerpt.is_some() {
        return problem;
    }
    include.place.problem(format!("cannot include `{}`: {}", shown(&include.value), problem.message))
}

/// The path without links and `..`, by which a file is known again; of a missing file, the path itself.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
