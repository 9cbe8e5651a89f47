//! One replacement in a text, or the reason why there is none.
//!
//! It must not know files or calls.

/// Line numbers that are told of a text that is there more than once.
const LINES_TOLD_MAX: usize = 10;

/// A text after its replacements.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) n_replacements: usize,
}

/// Replaces `old` by `new` in `text`; in a text whose lines all end in CRLF, both are taken to have such lines too.
/// An error is for the model.
pub(crate) fn edit(
    text: &str,
    old: &str,
    new: &str,
    replace_all: bool,
    bytes_max: usize,
) -> Result<Edited, String> {
    let with_crlf = |string: &str| string.replace("\r\n", "\n").replace('\n', "\r\n");
    let (old, new) =
        if is_crlf(text) { (with_crlf(old), with_crlf(new)) } else { (old.to_owned(), new.to_owned()) };
    if old == new {
        return Err(
            "`old_string` and `new_string` differ in line endings only, and those are kept".to_owned()
        );
    }
    let n_found = text.matches(&old).count();
    if n_found == 0 {
        return Err(match almost(text, &old) {
            Some(line) => format!(
                "`old_string` is not in it; line {line} differs in whitespace only: read it and copy it exactly"
            ),
            None => "`old_string` is not in it; read it again".to_owned(),
        });
    }
    if n_found > 1 && !replace_all {
        let told = lines_of(text, &old);
        let more = if n_found > told.len() { ", …" } else { "" };
        let lines: Vec<String> = told.iter().map(usize::to_string).collect();
        return Err(format!(
            "`old_string` is in it {n_found} times (lines {}{more}); add lines around it, or set `replace_all`",
            lines.join(", ")
        ));
    }
    // Counted before it is made: one letter replaced by a book could fill the memory.
    let bytes = n_found.saturating_mul(new.len()).saturating_add(text.len() - n_found * old.len());
    if bytes > bytes_max {
        return Err(format!("it would have {bytes} bytes then; at most {bytes_max} can be written"));
    }
    Ok(Edited { text: text.replace(&old, &new), n_replacements: n_found })
}

fn is_crlf(text: &str) -> bool {
    let n_crlf = text.matches("\r\n").count();
    n_crlf > 0 && n_crlf == text.matches('\n').count()
}

/// The lines, from 1, on which the first matches begin.
fn lines_of(text: &str, old: &str) -> Vec<usize> {
    let (mut line, mut seen) = (1, 0);
    let line_at = |(at, _): (usize, &str)| {
        line += text[seen..at].matches('\n').count();
        seen = at;
        line
    };
    text.match_indices(old).take(LINES_TOLD_MAX).map(line_at).collect()
}

/// The line, from 1, where `old` would be found if all whitespace inside lines were the same.
fn almost(text: &str, old: &str) -> Option<usize> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = old.trim().lines().map(squeezed).collect();
    let lines: Vec<String> = text.lines().map(squeezed).collect();
    let fits = |there: &[String]| match wanted.as_slice() {
        [only] => there[0].contains(only),
        [first, middle @ .., last] => {
            there[0].ends_with(first)
                && there[there.len() - 1].starts_with(last)
                && there[1..there.len() - 1] == *middle
        }
        [] => false,
    };
    lines.windows(wanted.len().max(1)).position(fits).map(|idx| idx + 1)
}
