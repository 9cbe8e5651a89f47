//! Words between backticks that mean something here: commands, options, settings, files, tests, exit codes.
//!
//! It must not know which there are: the binary, the tree and the aliases of cargo say.

use crate::read::{DOCUMENTS, Word, document};
use house::{dispatch_binary, workspace_dir};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands of cargo's own that the documents use.
const CARGO: [&str; 5] = ["build", "clippy", "doc", "fmt", "test"];
/// Commands whose next word is one as well.
const GROUPS: [&str; 4] = ["backup", "build", "config", "ext"];
/// Where files are that no checkout has: of a running host, of an installed one, of what was built.
const ELSEWHERE: [&str; 9] =
    ["DISPATCH_HOME/", "bin/", "cache/", "config/", "data/", "lib/dispatch", "share/", "src/", "target/"];

/// Each word of each document, with where it stands.
fn words() -> impl Iterator<Item = (String, Word)> {
    let place =
        |path: &'static str| move |word: Word| (format!("{path}:{}: `{}`", word.line, word.text), word);
    DOCUMENTS.iter().flat_map(move |path| document(path).words.into_iter().map(place(path)))
}

/// What the binary prints; `None` when it fails.
#[expect(clippy::disallowed_methods, reason = "the process under test")]
fn said(words: &[&str]) -> Option<String> {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(dispatch_binary());
    command.args(words).env_clear().env("DISPATCH_HOME", home.path()).current_dir(home.path());
    let output = command.output().expect("started");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The command that a line means: its own words, without the options and values around them.
fn command_of(line: &str) -> Vec<&str> {
    let mut words = line.split_whitespace().skip(1);
    let mut command = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, "--build" | "--set" | "--ext" | "--ext-dir" | "--allow" | "--log-format") {
            words.next();
        } else if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            command.push(word);
            if command.len() == 2 || !GROUPS.contains(&word) {
                break;
            }
        }
    }
    command
}

fn options_of(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| c.is_whitespace() || "=[]".contains(c));
    words.filter(|word| word.len() > 2 && word.starts_with("--"))
}

/// Whether a help text knows an option, as a word of its own.
fn knows(help: &str, option: &str) -> bool {
    let help = help.replace('\\', "");
    let is_word = |c: char| c.is_alphanumeric() || c == '-';
    help.match_indices(option).any(|(at, _)| !help[at + option.len()..].starts_with(is_word))
}

#[test]
fn every_command_and_option_that_is_named_is_there() {
    let manual = format!("{}{}", said(&["man"]).expect("a manual"), said(&["--help"]).expect("help"));
    let mut helps: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut broken, mut n) = (Vec::new(), 0);
    for (place, word) in words() {
        let line = word.text.trim_start_matches("target/debug/");
        if !line.starts_with("dispatch ") {
            continue;
        }
        n += 1;
        let command = command_of(line);
        let help = helps
            .entry(command.join(" "))
            .or_insert_with(|| said(&command.iter().copied().chain(["--help"]).collect::<Vec<_>>()));
        match help {
            None => broken.push(format!("{place}: there is no such command")),
            Some(help) => broken.extend(
                options_of(line)
                    .filter(|option| !knows(help, option) && !knows(&manual, option))
                    .map(|option| format!("{place}: there is no `{option}`")),
            ),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(n > 10, "only {n} commands were found");
}

#[test]
fn every_command_of_cargo_and_every_test_that_is_named_is_there() {
    let root = workspace_dir();
    let aliases = std::fs::read_to_string(root.join(".cargo/config.toml")).expect("the aliases");
    let code = rust(&["kernel", "extensions", "host-bin", "tests"].map(|dir| root.join(dir)));
    let (mut broken, mut n_tests) = (Vec::new(), 0);
    for (place, word) in words().filter(|(_, word)| word.text.contains("cargo ")) {
        let mut rest = word.text.split("cargo ").nth(1).unwrap_or_default().split_whitespace();
        let command = rest.next().unwrap_or_default();
        if !CARGO.contains(&command) && !aliases.contains(&format!("\n{command} = ")) {
            broken.push(format!("{place}: no command and no alias"));
        }
        let name = rest.next().filter(|name| command == "house" && name.len() > 20);
        if let Some(name) = name {
            n_tests += 1;
            if !code.iter().any(|text| text.contains(&format!("fn {name}("))) {
                broken.push(format!("{place}: there is no such test"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(n_tests >= 8, "each promise has a test; only {n_tests} are named");
}

/// The texts of all Rust files below these directories.
fn rust(dirs: &[PathBuf]) -> Vec<String> {
    let (mut open, mut found) = (dirs.to_vec(), Vec::new());
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(std::fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    found
}

#[test]
fn every_file_that_is_named_is_there() {
    let root = workspace_dir();
    let (mut broken, mut n) = (Vec::new(), 0);
    for path in DOCUMENTS {
        let beside = root.join(path).parent().expect("a file").to_owned();
        for word in document(path).words.iter().filter(|word| is_path(&word.text)) {
            n += 1;
            for one in expanded(&word.text) {
                let is_there = |dir: &Path| dir.join(&one).exists();
                if !is_there(&root) && !is_there(&beside) {
                    broken.push(format!("{path}:{}: `{one}` is not there", word.line));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(n > 20, "only {n} files were found");
}

/// A relative path of a checkout: no verb (`storage.v1/get`), no route, no placeholder.
fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-{},*".contains(c);
    let is_verb = word.split('/').next().is_some_and(|first| first.contains(".v"));
    word.contains('/')
        && word.chars().all(plain)
        && !word.starts_with(['/', '.', '*'])
        && !is_verb
        && !word.contains("NAME")
        && !ELSEWHERE.iter().any(|dir| word.starts_with(dir))
}

/// `a/{b,c}/d` as two paths, and of `a/*.x` the directory.
fn expanded(word: &str) -> Vec<String> {
    let word = word
        .split_once('*')
        .map_or(word, |(before, _)| before.rsplit_once('/').map_or(before, |(dir, _)| dir));
    match (word.split_once('{'), word.split_once('}')) {
        (Some((before, _)), Some((inner, after))) => {
            inner[before.len() + 1..].split(',').map(|one| format!("{before}{one}{after}")).collect()
        }
        _ => vec![word.to_owned()],
    }
}

#[test]
fn the_exit_codes_are_those_that_the_help_tells() {
    let help = said(&["--help"]).expect("help");
    let (_, told) = help.split_once("Exit codes:").expect("the help tells them");
    let mut told: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().next()).collect();
    told.retain(|word| word.parse::<u8>().is_ok());
    let text = std::fs::read_to_string(workspace_dir().join("README.md")).expect("it is there");
    let (_, table) = text.split_once("| exit code |").expect("a table of them");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut listed: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
    listed.sort_unstable();
    told.sort_unstable();
    assert_eq!(listed, told);
}

#[test]
fn every_setting_that_is_named_is_a_key() {
    let keys = said(&["config", "keys"]).expect("keys");
    let mut instance = String::new();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in keys.lines() {
        match line.strip_prefix("  ") {
            None => instance = line.trim().to_owned(),
            Some(key) if !key.starts_with(' ') => {
                let key = key.split_whitespace().next().unwrap_or_default();
                known.entry(instance.clone()).or_default().push(key.to_owned());
            }
            Some(_) => {}
        }
    }
    // What tells no keys has none that could be compared.
    known.retain(|_, keys| !keys.contains(&"its".to_owned()));
    let (mut broken, mut n) = (Vec::new(), 0);
    for (place, word) in words() {
        let text = word.text.trim_start_matches("--set ").trim_matches('\'');
        let Some((instance, key)) = text.split_once('.') else { continue };
        let key = key.split('=').next().unwrap_or_default();
        let Some(keys) = known.get(instance) else { continue };
        n += 1;
        if !keys.iter().any(|known| known == key || known.starts_with(&format!("{key}."))) {
            broken.push(format!("{place}: `{instance}` has no such key"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(n >= 2, "only {n} settings were found");
}
