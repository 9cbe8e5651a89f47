//! What the kernel and the binary must not name: service contracts and extensions.
//!
//! It must not know them by heart: contracts come from `kernel/contracts/src/lib.rs`, extensions from their directory.

use super::rule::Rule;
use super::rust_text::{Kind, Token, tokens, tokens_without_tests};
use super::tree::{TreeFile, directories, files, rust_files};

const ROOMS: [&str; 6] = [
    "kernel/wire/src/",
    "kernel/compose/src/",
    "kernel/load/src/",
    "kernel/turn/src/",
    "kernel/core/src/",
    "host-bin/src/",
];
const SERVICES_BEGIN: &str = "// Service contracts:";

/// Answers the modules that stand below the comment about service contracts.
fn service_contracts() -> Vec<String> {
    let lib = files().iter().find(|file| file.path == "kernel/contracts/src/lib.rs");
    let lib = lib.expect("the contracts are listed in `kernel/contracts/src/lib.rs`");
    let (_, below) =
        lib.text.split_once(SERVICES_BEGIN).expect("service contracts stand below their own comment");
    let names = below.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

fn guarded_files() -> impl Iterator<Item = &'static TreeFile> {
    rust_files().filter(|file| ROOMS.iter().any(|room| file.path.starts_with(room)))
}

#[test]
fn the_list_of_service_contracts_is_found() {
    let services = service_contracts();
    assert!(services.iter().any(|name| name == "storage"), "found only {services:?}");
}

#[test]
fn the_kernel_and_the_binary_name_no_service_contract() {
    let services = service_contracts();
    let mut broken = Vec::new();
    for file in guarded_files() {
        let all = tokens_without_tests(file);
        broken.extend(
            named_contracts(&all, &services)
                .into_iter()
                .map(|(line, name)| format!("{}:{line}: names the service contract `{name}`", file.path)),
        );
    }
    Rule {
        says: "the inner rooms of the kernel and host-bin know the kernel contracts alone",
        mend: "let an extension do it, or let the build say the name",
    }
    .holds(&broken);
}

/// Answers where a service contract is used as a module (`contracts::storage`) or named in a text (`storage.v1`).
fn named_contracts(all: &[Token], services: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let is_service = |token: &Token| services.iter().find(|name| token.is(name)).cloned();
    for (at, token) in all.iter().enumerate() {
        if let Kind::Text(text) = &token.kind {
            let named = services.iter().find(|name| names_contract(text, name));
            found.extend(named.map(|name| (token.line, name.clone())));
        }
        let from_contracts = token.is("dispatch_contracts") || token.is("contracts");
        if from_contracts && all.get(at + 1).is_some_and(|next| next.sign(':')) {
            let path = all.iter().skip(at + 3);
            // One path, or the group of a `use`: its end is the statement's.
            let used = path.take_while(|token| !token.sign(';') && !token.sign('(') && !token.sign('='));
            let grouped = all.get(at + 3).is_some_and(|next| next.sign('{'));
            let used = used.take(if grouped { usize::MAX } else { 1 });
            found.extend(used.filter_map(|token| is_service(token).map(|name| (token.line, name))));
        }
    }
    found
}

/// Whether `text` holds `<name>.v` and a digit, with nothing of a longer word before it.
fn names_contract(text: &str, name: &str) -> bool {
    let needle = format!("{name}.v");
    text.match_indices(&needle).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + needle.len()..].chars().next();
        !before.is_some_and(is_word) && after.is_some_and(|c| c.is_ascii_digit())
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

#[test]
fn the_kernel_and_the_binary_name_no_extension() {
    let ids = directories("extensions");
    let mut broken = Vec::new();
    for file in guarded_files() {
        for token in tokens_without_tests(file) {
            if let Some(id) = ids.iter().find(|id| names_extension(&token, id)) {
                broken.push(format!("{}:{}: names the extension `{id}`", file.path, token.line));
            }
        }
    }
    Rule {
        says: "the inner rooms of the kernel and host-bin know no extension by name",
        mend: "let the build list say which; a default belongs in `manifests/`",
    }
    .holds(&broken);
}

/// Whether a text holds the id as a word of its own, or an identifier of several words spells it.
fn names_extension(token: &Token, id: &str) -> bool {
    match &token.kind {
        Kind::Text(text) => text.match_indices(id).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + id.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        }),
        // An id of one word, such as `cli`, is also an ordinary word of code.
        Kind::Ident(ident) => id.contains('-') && *ident == id.replace('-', "_"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let file = TreeFile { path: "x.rs".to_owned(), text: text.to_owned() };
        let services = ["storage".to_owned(), "exec".to_owned()];
        named_contracts(&tokens(&file), &services).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_service_contract_is_seen_in_paths_groups_and_texts() {
        assert_eq!(found("use dispatch_contracts::storage::Get;"), ["storage"]);
        assert_eq!(found("use dispatch_contracts::{turn, exec};"), ["exec"]);
        assert_eq!(found("fn a() { call(\"storage.v1/get\") }"), ["storage"]);
        assert_eq!(found("fn a() { contracts::exec::Spawn; }"), ["exec"]);
    }

    #[test]
    fn the_same_word_for_something_else_is_not_meant() {
        assert!(found("struct Policy { exec: bool, storage: u8 } // storage.v1").is_empty());
        assert!(found("use dispatch_contracts::tool::Effect; const A: &str = \"exec\";").is_empty());
        assert!(found("const A: &str = \"my-storage.v1 storage.very\";").is_empty());
    }

    #[test]
    fn an_extension_is_seen_as_a_word_only() {
        let token = |text: &str| Token { line: 1, kind: Kind::Text(text.to_owned()) };
        assert!(names_extension(&token("\"cli\""), "cli"));
        assert!(!names_extension(&token("\"click\""), "cli"));
        assert!(names_extension(&Token { line: 1, kind: Kind::Ident("exec_local".into()) }, "exec-local"));
        assert!(!names_extension(&Token { line: 1, kind: Kind::Ident("cli".into()) }, "cli"));
    }
}
