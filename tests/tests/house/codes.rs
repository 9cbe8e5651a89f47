//! The codes of faults that the contracts declare.
//!
//! It must not know any: it reads the constants, and the table.

use super::rule::Rule;
use super::tree::rust_files;
use dispatch_contracts::op::ERROR_TABLE;

const CONTRACTS: &str = "kernel/contracts/src/";
/// Files whose constants are words of something else: types of events, and instances that the kernel itself is.
const OTHER_WORDS: [&str; 3] =
    ["kernel/contracts/src/engine.rs", "kernel/contracts/src/event.rs", "kernel/contracts/src/kernel.rs"];

/// Each `pub const NAME: &str = "word"` of the contracts, with its place. A wire name is no word.
fn declared() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let contracts = rust_files().filter(|file| file.path.starts_with(CONTRACTS));
    for file in contracts.filter(|file| !OTHER_WORDS.contains(&file.path.as_str())) {
        for (idx, line) in file.text.lines().enumerate() {
            let Some(rest) = line.strip_prefix("pub const ") else { continue };
            let Some((_, value)) = rest.split_once(": &str = \"") else { continue };
            let word = value.trim_end_matches("\";");
            if word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                found.push((format!("{}:{}", file.path, idx + 1), word.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_code_that_a_contract_declares_has_its_row_in_the_table() {
    let declared = declared();
    assert!(declared.iter().any(|(_, code)| code == "turn_in_flight"), "{declared:?}");
    let listed = |code: &str| ERROR_TABLE.iter().any(|(known, ..)| *known == code);
    let broken: Vec<String> = declared
        .iter()
        .filter(|(_, code)| !listed(code))
        .map(|(place, code)| format!("{place}: `{code}` has no row"))
        .collect();
    Rule {
        says: "a fault's code has an HTTP status, an exit code and a JSON-RPC code in `op::ERROR_TABLE`",
        mend: "add its row to `kernel/contracts/src/op.rs`",
    }
    .holds(&broken);
}
