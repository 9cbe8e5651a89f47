//! What a user's words ask for, by a few plain rules. It must not know tools.

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Show this file.
    Read { path: String },
    /// List this directory.
    List { path: String },
    /// Run this command line.
    Run { command: String },
    /// Put `new` where `old` stands in this file.
    Change { path: String, old: String, new: String },
    /// Say what was said before.
    Recall,
    /// A file or a command is meant, but not said which.
    Unclear { missing: &'static str },
    /// Anything else.
    Other,
}

const READ: [&str; 8] = ["read", "show", "cat", "open", "print", "display", "view", "contents"];
const LIST: [&str; 6] = ["list", "ls", "directory", "folder", "dir", "files"];
const RUN: [&str; 3] = ["run", "execute", "exec"];
const CHANGE: [&str; 3] = ["change", "replace", "edit"];
/// Most things that are done for one request.
pub(crate) const WISHES_MAX: usize = 8;
const RECALL: [&str; 9] = [
    "did i ",
    "have i ",
    "i asked",
    "i said",
    "i told",
    "do you remember",
    "you still know",
    "what is my",
    "what's my",
];
/// A command line does not begin with one of these; a sentence does.
const ARTICLES: [&str; 8] = ["the", "a", "an", "my", "this", "that", "it", "all"];

/// Reads what the user wants done, one after another: parts are joined by `then`.
pub(crate) fn read_all(text: &str) -> Vec<Wish> {
    let wishes: Vec<Wish> = parts(text).into_iter().take(WISHES_MAX).map(read).collect();
    // A sentence that only has the word in it is one wish.
    if wishes.iter().any(|wish| matches!(wish, Wish::Other | Wish::Recall)) {
        vec![read(text)]
    } else {
        wishes
    }
}

/// The text between `then`s that stand outside backticks.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let outside = |at: usize, text: &str| text[..at].matches('`').count().is_multiple_of(2);
    while let Some((at, word)) = rest.match_indices(" then ").find(|(at, _)| outside(*at, rest)) {
        parts.push(&rest[..at]);
        rest = &rest[at + word.len()..];
    }
    parts.push(rest);
    parts
}

/// Reads a wish out of what the user said.
fn read(text: &str) -> Wish {
    let lower = text.to_lowercase();
    if RECALL.iter().any(|words| lower.contains(words)) {
        return Wish::Recall;
    }
    let words: Vec<&str> = lower.split_whitespace().map(bare).collect();
    let first_of = |verbs: &[&str]| words.iter().position(|word| verbs.contains(word));
    let (read, list, run) = (first_of(&READ), first_of(&LIST), first_of(&RUN));
    // Of `run` and the rest, what is said first is meant: "run `ls`", "show me how to run it".
    if run.is_some_and(|run| [read, list].into_iter().flatten().all(|other| run < other)) {
        return match command(text) {
            Some(command) => Wish::Run { command },
            None => Wish::Unclear { missing: "command" },
        };
    }
    if first_of(&CHANGE).is_some()
        && let Some((old, new, path)) = change(text)
    {
        return Wish::Change { path, old, new };
    }
    if list.is_some() {
        return Wish::List { path: path(text).unwrap_or_else(|| ".".to_owned()) };
    }
    match path(text) {
        Some(path) if read.is_some() || asks_what(&lower) => Wish::Read { path },
        None if read.is_some() => Wish::Unclear { missing: "file" },
        Some(_) | None => Wish::Other,
    }
}

fn asks_what(lower: &str) -> bool {
    ["what is in", "what's in", "what does"].iter().any(|words| lower.contains(words))
}

/// Three texts in backticks: what stands there, what shall, and the file.
fn change(text: &str) -> Option<(String, String, String)> {
    let inside: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    match inside[..] {
        [old, new, path] if !old.is_empty() && !path.trim().is_empty() => {
            Some((old.to_owned(), new.to_owned(), path.trim().to_owned()))
        }
        _ => None,
    }
}

/// What is quoted, else what follows the verb unless it reads like a sentence.
fn command(text: &str) -> Option<String> {
    if let Some(quoted) = quoted(text) {
        return Some(quoted.to_owned());
    }
    let mut rest = text.split_whitespace();
    rest.find(|word| RUN.contains(&bare(word).to_lowercase().as_str()))?;
    let mut words: Vec<&str> = rest.collect();
    if let [article, "command" | "command:", ..] = words.as_slice()
        && ARTICLES.contains(article)
    {
        words.drain(..2);
    }
    let first = bare(words.first()?).to_lowercase();
    if ARTICLES.contains(&first.as_str()) {
        return None;
    }
    Some(words.join(" ").trim_end_matches(['.', '!', '?']).to_owned())
}

/// What is quoted, else the first word that looks like a path, else the word after "file", "directory" or a verb.
fn path(text: &str) -> Option<String> {
    if let Some(quoted) = quoted(text) {
        return Some(quoted.to_owned());
    }
    let words: Vec<&str> = text.split_whitespace().map(bare).collect();
    let looks_like_one = |word: &&str| word.contains('/') || *word == "~" || has_extension(word);
    if let Some(path) = words.iter().copied().find(looks_like_one) {
        return Some(path.to_owned());
    }
    let named = words.windows(2).find(|pair| {
        let before = pair[0].to_lowercase();
        ["file", "directory", "folder", "in", "of", "cat", "ls", "open", "read"].contains(&before.as_str())
            && is_name(pair[1])
    });
    named.map(|pair| pair[1].to_owned())
}

fn has_extension(word: &str) -> bool {
    let Some((stem, extension)) = word.rsplit_once('.') else {
        return word.starts_with('.') && word.len() > 1;
    };
    let alphanumeric = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
    alphanumeric(extension) && (stem.is_empty() || stem.chars().any(char::is_alphanumeric))
}

/// A word that can be a name and is none of the small words that stand there otherwise.
fn is_name(word: &str) -> bool {
    const SMALL: [&str; 16] = [
        "the",
        "a",
        "an",
        "my",
        "this",
        "that",
        "it",
        "me",
        "file",
        "files",
        "directory",
        "folder",
        "here",
        "please",
        "and",
        "in",
    ];
    !word.is_empty() && !SMALL.contains(&word.to_lowercase().as_str())
}

/// The first text in backticks or quotes; an apostrophe inside a word is none.
fn quoted(text: &str) -> Option<&str> {
    for quote in ['`', '"', '\''] {
        let begins =
            |at: usize| text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let opened = text.match_indices(quote).find(|(at, _)| begins(*at));
        let Some((at, _)) = opened else { continue };
        let inside = &text[at + 1..];
        let Some((inside, _)) = inside.split_once(quote) else { continue };
        if !inside.trim().is_empty() {
            return Some(inside.trim());
        }
    }
    None
}

/// A word without the punctuation around it; a dot at its beginning belongs to it.
fn bare(word: &str) -> &str {
    let word = word.trim_start_matches(['(', '"', '\'', '`', ',', ':']);
    word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '"', '\'', '`'])
}

#[cfg(test)]
mod tests;
