//! Reads a TOML text of unknown origin into a tree with places, and takes values out of it by key.
//!
//! It must not know which keys there are, nor touch the disk.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::problem::{Problem, shown};
use crate::source::{Place, Placed, Source};

/// The most tables and arrays that may stand inside one another; a dotted key counts each of its parts.
pub const NESTING_MAX: usize = 16;
/// The most items of one list of names.
pub const LIST_ITEMS_MAX: usize = 1024;
/// The most problems told about one file; the rest is counted.
pub const PROBLEMS_MAX: usize = 100;

/// A text with no more brackets and dots than this cannot nest deeper, so it is parsed in place.
const MARKS_IN_PLACE_MAX: usize = 256;
/// The parser bounds brackets and dots to 80 each, but not their product: 6,400 levels need 8 MB to be dropped.
const PARSER_STACK_BYTES: usize = 64 << 20;

/// What a value should have been.
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Parses a text, or tells every line that is not TOML or nests too deep.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Spanned<DeTable<'_>>, Vec<Problem>> {
    let marks = source.text.bytes().filter(|byte| matches!(byte, b'.' | b'[' | b'{')).count();
    if marks <= MARKS_IN_PLACE_MAX {
        return parse_here(source);
    }
    let trouble = || vec![Problem::of_file(&source.path, "cannot start the thread that reads this file")];
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, || parse_here(source))
            .map_err(|_| trouble())?
            .join()
            .map_err(|_| trouble())?
    })
}

fn parse_here(source: &Arc<Source>) -> Result<Spanned<DeTable<'_>>, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mut reader = Reader::new(source);
    if errors.is_empty() {
        if let Some(span) = too_deep(document.get_ref()) {
            reader.refuse(&span, Wrong::new(format!("nested deeper than {NESTING_MAX} levels")));
        }
    } else {
        let mut told_lines = BTreeSet::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            // One slip makes several errors; the first of a line is the one that helps.
            let line_start = source.text[..source.text.floor_char_boundary(span.start)].rfind('\n');
            if told_lines.len() < PROBLEMS_MAX && told_lines.insert(line_start) {
                reader.refuse(&span, Wrong::new(shown(error.message())));
            }
        }
    }
    let problems = reader.finish();
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

/// Finds a value below `NESTING_MAX` levels, without recursion: the tree is not yet known to be shallow.
fn too_deep(document: &DeTable<'_>) -> Option<Range<usize>> {
    let mut waiting: Vec<(&Spanned<DeValue<'_>>, usize)> =
        document.values().map(|value| (value, 1)).collect();
    while let Some((value, depth)) = waiting.pop() {
        if depth > NESTING_MAX {
            return Some(value.span());
        }
        match value.get_ref() {
            DeValue::Table(table) => waiting.extend(table.values().map(|inner| (inner, depth + 1))),
            DeValue::Array(items) => waiting.extend(items.iter().map(|inner| (inner, depth + 1))),
            _ => {}
        }
    }
    None
}

/// Takes values out of a parsed text and keeps what is wrong with them.
pub(crate) struct Reader {
    source: Arc<Source>,
    found: Vec<(usize, Problem)>,
    untold: usize,
}

impl Reader {
    pub(crate) fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), found: Vec::new(), untold: 0 }
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place { source: Arc::clone(&self.source), span }
    }

    pub(crate) fn refuse(&mut self, span: &Range<usize>, wrong: Wrong) {
        if self.found.len() == PROBLEMS_MAX {
            self.untold += 1;
            return;
        }
        let problem = self.place(span.clone()).problem(wrong.message);
        let problem = match wrong.help {
            Some(help) => problem.help(help),
            None => problem,
        };
        self.found.push((span.start, problem));
    }

    /// Answers what is wrong, in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(start, _)| *start);
        let mut problems: Vec<Problem> = self.found.into_iter().map(|(_, problem)| problem).collect();
        if self.untold > 0 {
            let message = format!("{} more problems are not shown", self.untold);
            problems.push(Problem::of_file(&self.source.path, message));
        }
        problems
    }

    pub(crate) fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", quoted(known)),
            };
            self.refuse(&key.span(), Wrong::new(format!("unknown key `{}`", shown(name))).help(help));
        }
    }

    /// Refuses a table without `key`, pointing at `span`.
    pub(crate) fn needed(&mut self, table: &DeTable<'_>, key: &str, span: &Range<usize>, example: &str) {
        if !table.contains_key(key) {
            self.refuse(
                span,
                Wrong::new(format!("`{key}` is missing")).help(format!("add `{key} = {example}`")),
            );
        }
    }

    pub(crate) fn text<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        check: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Placed<T>> {
        self.text_value(table.get(key)?, key, check)
    }

    pub(crate) fn text_value<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        check: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Placed<T>> {
        let DeValue::String(text) = value.get_ref() else {
            return self.mistyped(value, key, "a string");
        };
        match check(text) {
            Ok(parsed) => Some(Placed { value: parsed, place: self.place(value.span()) }),
            Err(wrong) => {
                self.refuse(&value.span(), wrong);
                None
            }
        }
    }

    /// Takes a list of different strings; an absent key is an empty list.
    pub(crate) fn texts<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        check: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<Placed<T>> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            return self.mistyped(value, key, "a list of strings").unwrap_or_default();
        };
        if items.len() > LIST_ITEMS_MAX {
            let message = format!("`{key}` lists {} names, at most {LIST_ITEMS_MAX} are taken", items.len());
            self.refuse(&value.span(), Wrong::new(message));
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let mut taken = Vec::new();
        for item in items.iter() {
            let DeValue::String(text) = item.get_ref() else {
                self.mistyped::<()>(item, key, "a list of strings");
                continue;
            };
            if seen.insert(text) {
                taken.extend(self.text_value(item, key, &check));
            } else {
                let wrong = Wrong::new(format!("`{}` stands twice in `{key}`", shown(text)));
                self.refuse(&item.span(), wrong);
            }
        }
        taken
    }

    pub(crate) fn count(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        bounds: RangeInclusive<u32>,
    ) -> Option<Placed<u32>> {
        let value = table.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.mistyped(value, key, "a whole number");
        };
        let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let Some(count) = parsed.filter(|count| bounds.contains(count)) else {
            let (min, max) = bounds.into_inner();
            let message = format!("`{key}` is {}, it must be {min} to {max}", shown(&number.to_string()));
            self.refuse(&value.span(), Wrong::new(message));
            return None;
        };
        Some(Placed { value: count, place: self.place(value.span()) })
    }

    pub(crate) fn flag(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.mistyped(value, key, "`true` or `false`"),
        }
    }

    pub(crate) fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => self.mistyped(value, key, "a table"),
        }
    }

    /// Refuses a value of the wrong type; always `None`.
    pub(crate) fn mistyped<T>(&mut self, value: &Spanned<DeValue<'_>>, key: &str, needed: &str) -> Option<T> {
        let article =
            if matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
        let message = format!("`{key}` takes {needed}, not {article} {}", value.get_ref().type_str());
        self.refuse(&value.span(), Wrong::new(message));
        None
    }
}

/// Lists words for a message: `` `a`, `b` ``.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> String {
    words.into_iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}
