//! Rust source as tokens with line numbers: no comments, no doc comments, and on wish no test code.
//!
//! It must not know any rule.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tree::{TreeFile, rust_files};

/// A token and the line it begins in, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident(String),
    /// A string literal as it is written, quotes and escapes included.
    Text(String),
    /// Any other literal.
    Literal,
    Punct(char),
    Open(char),
    Close(char),
}

impl Token {
    /// Whether this is the identifier or keyword `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Ident(ident) if ident == name)
    }

    /// Whether this is the punctuation `sign`, or the bracket.
    pub(crate) fn sign(&self, sign: char) -> bool {
        matches!(self.kind, Kind::Punct(c) | Kind::Open(c) | Kind::Close(c) if c == sign)
    }
}

/// Answers all tokens of a file.
///
/// Panics naming the file if it is not Rust.
pub(crate) fn tokens(file: &TreeFile) -> Vec<Token> {
    let stream: TokenStream =
        file.text.parse().unwrap_or_else(|error| panic!("cannot read `{}` as Rust: {error}", file.path));
    let mut found = Vec::new();
    flatten(stream, &mut found);
    found
}

/// Answers the tokens of a file without its `#[cfg(test)]` items; none at all for a file of tests.
pub(crate) fn tokens_without_tests(file: &TreeFile) -> Vec<Token> {
    if is_test_file(&file.path) { Vec::new() } else { without_test_items(&tokens(file)).0 }
}

fn flatten(stream: TokenStream, found: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let mut push = |kind| found.push(Token { line, kind });
        match tree {
            TokenTree::Ident(ident) => push(Kind::Ident(ident.to_string())),
            TokenTree::Punct(punct) => {
                // A doc comment comes as `#[doc = "…"]` or `#![doc = "…"]`.
                let inner = punct.as_char() == '#'
                    && matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '!');
                let bang = if inner { trees.next() } else { None };
                if punct.as_char() == '#' && trees.peek().is_some_and(is_doc) {
                    trees.next();
                    continue;
                }
                push(Kind::Punct(punct.as_char()));
                if bang.is_some() {
                    push(Kind::Punct('!'));
                }
            }
            TokenTree::Literal(literal) => {
                let written = literal.to_string();
                push(if written.contains('"') { Kind::Text(written) } else { Kind::Literal });
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                push(Kind::Open(open));
                let close_line = group.span_close().start().line;
                flatten(group.stream(), found);
                found.push(Token { line: close_line, kind: Kind::Close(close) });
            }
        }
    }
}

fn is_doc(tree: &TokenTree) -> bool {
    let TokenTree::Group(group) = tree else { return false };
    let mut inside = group.stream().into_iter();
    matches!(inside.next(), Some(TokenTree::Ident(ident)) if ident == "doc")
        && matches!(inside.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=')
}

/// Takes out each `#[cfg(test)]` with its item; answers the names of modules in other files that went with it.
fn without_test_items(all: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < all.len() {
        if all[at].sign('#') && all.get(at + 1).is_some_and(|next| next.sign('[')) {
            let attribute_end = group_end(all, at + 1);
            let attribute = &all[at..attribute_end];
            if attribute.iter().any(|token| token.is("cfg"))
                && attribute.iter().any(|token| token.is("test"))
                && !attribute.iter().any(|token| token.is("not"))
            {
                let end = item_end(all, attribute_end);
                let item = &all[attribute_end..end];
                let names = item.windows(3).find(|w| w[0].is("mod") && w[2].sign(';'));
                if let Some([_, Token { kind: Kind::Ident(name), .. }, _]) = names {
                    modules.push(name.clone());
                }
                at = end;
                continue;
            }
        }
        kept.push(all[at].clone());
        at += 1;
    }
    (kept, modules)
}

/// Answers where the group that opens at `open` is over.
fn group_end(all: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in all.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    all.len()
}

/// Answers where the item that begins at `start` is over: after its `;`, `,` or its body.
fn item_end(all: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < all.len() {
        match all[at].kind {
            Kind::Punct(';' | ',') => return at + 1,
            Kind::Open('{') => return group_end(all, at),
            Kind::Open(_) => at = group_end(all, at),
            Kind::Close(_) => return at,
            _ => at += 1,
        }
    }
    at
}

/// Whether a file holds nothing but tests: by its place, or because its parent declares it under `#[cfg(test)]`.
pub(crate) fn is_test_file(path: &str) -> bool {
    static DECLARED: OnceLock<BTreeSet<String>> = OnceLock::new();
    let declared = DECLARED.get_or_init(|| rust_files().flat_map(test_modules).collect());
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || declared.iter().any(|module| {
            path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
}

/// Answers the paths, without `.rs`, of the modules that `file` declares for tests only.
fn test_modules(file: &TreeFile) -> Vec<String> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let directory = match stem.rsplit_once('/') {
        Some((parent, "lib" | "main")) => parent,
        _ => stem,
    };
    let (_, names) = without_test_items(&tokens(file));
    names.into_iter().map(|name| format!("{directory}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TreeFile {
        TreeFile { path: "kernel/x/src/lib.rs".to_owned(), text: text.to_owned() }
    }

    fn idents(tokens: &[Token]) -> Vec<&str> {
        let ident = |token| match token {
            &Token { kind: Kind::Ident(ref name), .. } => Some(name.as_str()),
            _ => None,
        };
        tokens.iter().filter_map(ident).collect()
    }

    #[test]
    fn comments_are_no_tokens_and_lines_are_counted() {
        let text = "//! unsafe\n/// unsafe\nfn a() {} // unsafe\n/* unsafe */ fn b() {}\n";
        let found = tokens(&file(text));
        assert_eq!(idents(&found), ["fn", "a", "fn", "b"]);
        assert_eq!(found.last().map(|token| token.line), Some(4));
    }

    #[test]
    fn test_items_are_taken_out_with_their_attributes_and_bodies() {
        let text = "use a; #[cfg(test)] #[x(1)] mod tests { fn t() { 1 } } fn b() {} \
                    #[cfg(test)] mod more; #[cfg(not(test))] fn c() {}";
        let (kept, modules) = without_test_items(&tokens(&file(text)));
        assert_eq!(idents(&kept), ["use", "a", "fn", "b", "cfg", "not", "test", "fn", "c"]);
        assert_eq!(modules, ["more"]);
        assert_eq!(test_modules(&file(text)), ["kernel/x/src/more"]);
    }

    #[test]
    fn strings_are_kept_as_text() {
        let found =
            tokens(&file(r###"const A: &str = "todo"; const B: &str = r#"raw"#; const C: char = 'c';"###));
        let texts: Vec<_> = found.iter().filter(|token| matches!(token.kind, Kind::Text(_))).collect();
        assert_eq!(texts.len(), 2);
    }
}
