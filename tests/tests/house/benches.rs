//! The benches of `tests/benches`.
//!
//! It must not know what they measure; `cargo house bench` runs them, and no test does.

use ::house::bench::BENCHES;

use super::rule::Rule;
use super::rust_text::{Kind, tokens};
use super::tree::rust_files;

const PROGRAM: &str = "tests/benches/bench.rs";

#[test]
fn every_bench_of_the_list_is_there() {
    let file = |path: &str| rust_files().find(|file| file.path == path);
    let program = file(PROGRAM).expect("the program of the benches is there");
    let words = tokens(program);
    let mut broken = Vec::new();
    for bench in BENCHES {
        let path = format!("tests/benches/{}.rs", bench.name);
        if file(&path).is_none() {
            broken.push(format!("{path}: no such file, and `{}` is a bench", bench.name));
        }
        let named = words
            .iter()
            .any(|word| matches!(&word.kind, Kind::Text(text) if text.trim_matches('"') == bench.name));
        if !named {
            broken.push(format!("{PROGRAM}: does not run `{}`", bench.name));
        }
    }
    Rule {
        says: "each bench of `tests/src/bench.rs` has a file of its name, and the program of the benches runs it",
        mend: "add the file and its line in `main`, or take the bench out of the list",
    }
    .holds(&broken);
}
