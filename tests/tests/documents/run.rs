//! Runs the shell blocks of each document, in order and in one shell, in a checkout and a home of their own.
//!
//! As they stand, but for three things: the ports are free ones; `cargo` is a program that builds nothing (it is built)
//! and checks the words instead; and a base URL in the environment leads OpenAI's key to a fake endpoint.

use crate::read::{Block, DOCUMENTS, document};
use dispatch_testkit::fake_llm::{Action, FakeLlm, Rule, Script};
use house::{bin_dir, workspace_dir};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Most blocks that are shown and not run.
const NO_RUN_MAX: usize = 1;
/// Seconds until a document that hangs is given up.
const DOCUMENT_S: &str = "300";
/// The ports that the documents name.
const PORTS: [&str; 2] = ["127.0.0.1:7700", "127.0.0.1:8080"];

/// What `cargo` is in a document.
const CARGO: &str = r#"#!/usr/bin/env bash
# Nothing is built: it has been. In the checkout the words are checked; elsewhere the files have to be the toy's.
set -euo pipefail
if [ ! -e kernel/README.md ]; then
  toy=$CHECKOUT/tests/toys/tool-word-count
  for file in src/lib.rs src/tests.rs; do diff "$toy/$file" "$file"; done
  diff <(grep -v '^listed = ' "$toy/extension.toml") extension.toml
  case "$1" in
    test) ;;
    build) mkdir -p target/debug; cp "$BUILT/libtool_word_count.so" target/debug/ ;;
    *) echo "cargo: nobody looks at \`cargo $*\` here" >&2; exit 1 ;;
  esac
  exit
fi
case "$*" in
  "build --workspace") exit ;;
esac
grep -q "^$1 = " .cargo/config.toml || { echo "cargo: \`$1\` is no alias" >&2; exit 1; }
case "$1" in
  dist) shift; exec "$BUILT/dev" dist --from "$BUILT" "$@" ;;
esac
"#;

const BEFORE: &str = "set -euo pipefail\ntrap 'jobs -p | xargs -r kill 2>/dev/null; wait' EXIT\n";

/// Where a document is run.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["bin", "home", "tmp", "checkout/target"] {
            std::fs::create_dir_all(at(name)).expect("made");
        }
        std::fs::write(at("bin/cargo"), CARGO).expect("written");
        std::fs::set_permissions(at("bin/cargo"), PermissionsExt::from_mode(0o755)).expect("its own");
        symlink(bin_dir(), at("checkout/target/debug")).expect("linked");
        for entry in std::fs::read_dir(workspace_dir()).expect("readable") {
            let entry = entry.expect("readable");
            let to = at("checkout").join(entry.file_name());
            match entry.path().is_file() {
                true => drop(std::fs::copy(entry.path(), to).expect("copied")),
                false if entry.file_name() == "target" => {}
                false => symlink(entry.path(), to).expect("linked"),
            }
        }
        Self { dir }
    }

    #[expect(clippy::disallowed_methods, reason = "the shell that the blocks are for")]
    fn shell(&self, script: &Path, llm: &FakeLlm, listen: &str) -> Command {
        let at = |name: &str| self.dir.path().join(name);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", DOCUMENT_S, "bash"]).arg(script).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", at("bin").display()));
        command.env("HOME", at("home")).env("TMPDIR", at("tmp")).current_dir(at("checkout"));
        command.env("BUILT", bin_dir()).env("CHECKOUT", at("checkout"));
        command.env("DISPATCH_SET__PROVIDER_OPENAI_COMPAT__BASE_URL", llm.base_url());
        command.env("DISPATCH_SET__TRANSPORT_HTTP__LISTEN", format!("[\"{listen}\"]"));
        command
    }
}

/// A port that was free a moment ago.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").to_string()
}

/// What is run of a document; a block with a file's name becomes that file.
fn script(blocks: &[Block], ports: &[String; 2]) -> String {
    let mut script = BEFORE.to_owned();
    for Block { line, language, note, text } in blocks {
        let mut text = text.clone();
        for (named, free) in PORTS.iter().zip(ports) {
            text = text.replace(named, free);
        }
        let is_file = matches!(language.as_str(), "toml" | "rust") && !note.is_empty();
        if language == "sh" && note.is_empty() {
            writeln!(script, "echo '--- the block of line {line}' >&2\n{text}").expect("a String");
        } else if is_file && !note.starts_with("tests/") {
            writeln!(script, "cat > '{note}' <<'END OF FILE'\n{text}END OF FILE").expect("a String");
        }
    }
    script
}

fn runs(path: &str) {
    let blocks = document(path).blocks;
    if !blocks.iter().any(|block| block.language == "sh" && block.note.is_empty()) {
        return;
    }
    let place = Place::new();
    let ports = [free(), free()];
    let file = place.dir.path().join("script");
    std::fs::write(&file, script(&blocks, &ports)).expect("written");
    let llm = FakeLlm::start(Script::rules(vec![Rule::always(vec![Action::text("an answer")])]));
    let output = place.shell(&file, &llm, &ports[0]).output().expect("started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{path}: the last block that is named below ended with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn every_command_of_the_first_document_runs() {
    runs("README.md");
}

#[test]
fn every_command_of_the_extensions_door_runs() {
    runs("extensions/README.md");
}

#[test]
fn every_command_of_every_other_document_runs() {
    for path in DOCUMENTS.iter().filter(|path| !["README.md", "extensions/README.md"].contains(path)) {
        runs(path);
    }
}

#[test]
fn what_is_shown_and_not_run_is_little_and_says_why() {
    let blocks = DOCUMENTS.iter().flat_map(|path| document(path).blocks);
    let (mut n, mut odd) = (0, Vec::new());
    for block in blocks.filter(|block| ["sh", "bash", "shell", "console"].contains(&block.language.as_str()))
    {
        match block.note.split_once(' ') {
            _ if block.language == "sh" && block.note.is_empty() => {}
            Some(("no-run", why)) if block.language == "sh" && why.len() > 10 => n += 1,
            _ => odd.push(block),
        }
    }
    assert!(odd.is_empty(), "a shell block is `sh`, or `sh no-run` and a reason: {odd:#?}");
    assert!(n <= NO_RUN_MAX, "{n} blocks are not run; {NO_RUN_MAX} may be");
}

#[test]
fn code_that_is_shown_stands_in_the_file_that_it_names() {
    let mut n = 0;
    for path in DOCUMENTS {
        for block in document(path).blocks.iter().filter(|block| block.note.starts_with("tests/")) {
            let file = std::fs::read_to_string(workspace_dir().join(&block.note));
            let file = file.unwrap_or_else(|e| panic!("{path}:{}: `{}`: {e}", block.line, block.note));
            assert!(file.contains(&block.text), "{path}:{}: {} says something else", block.line, block.note);
            n += 1;
        }
    }
    assert!(n >= 3, "a provider, an op and a filter are shown");
}
