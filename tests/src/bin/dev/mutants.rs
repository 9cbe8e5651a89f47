//! `cargo house mutants`: each planted bug of `tests/mutants` must turn its test red.
//!
//! It must not know what a bug is about. All are planted in one copy of the tree, one after the other, and built in
//! one directory, so that only what a bug touches is built again.

#[path = "mutants/tree.rs"]
mod tree;
#[path = "mutants/trial.rs"]
mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use house::Mutant;
use tree::Tree;
use trial::{Court, Ended};

use crate::build;

/// Where the copy, what is built of it, and the logs stand, below cargo's target directory.
const DIR: &str = "mutants";

/// One line of the table.
struct Row {
    name: String,
    red: bool,
    what: String,
    secs: u64,
    guards: String,
}

/// Tries the mutants of these names, or all; fails unless every one is red.
pub(crate) fn run(names: &[String]) -> Result<ExitCode, String> {
    let chosen = choose(house::mutants()?, names)?;
    let dir = build::target_dir()?.join(DIR);
    let trouble = |error: std::io::Error| format!("cannot use `{}`: {error}", dir.display());
    let court = Court { tree: dir.join("tree"), target: dir.join("target"), logs: dir.join("logs") };
    for place in [&court.tree, &court.target, &court.logs] {
        fs::create_dir_all(place).map_err(trouble)?;
    }
    // Two runs at once would plant in the same copy; given back when this one ends, whichever way.
    let lock = fs::File::create(dir.join("lock")).map_err(trouble)?;
    lock.lock().map_err(trouble)?;
    println!("dev: copy the working tree to `{}`", court.tree.display());
    let tree = Tree::copy_to(court.tree.clone())?;

    let green = without_bugs(&court, &chosen);
    println!("dev: {} mutants, each a build and a test", chosen.len());
    let mut rows = Vec::new();
    for (idx, mutant) in chosen.iter().enumerate() {
        let started = Instant::now();
        println!("dev: {}/{} {}: {}", idx + 1, chosen.len(), mutant.name, mutant.bug);
        let (red, what) = if green.contains(&mutant.name) {
            verdict(
                mutant,
                tree.plant(mutant).and_then(|_planted| court.hold(&mutant.name, &mutant.red, &mutant.needs)),
            )
        } else {
            (false, "its test is not green without the bug".to_owned())
        };
        let secs = started.elapsed().as_secs();
        println!("     {} ({secs} s)", if red { &what } else { "NOT RED" });
        rows.push(Row { name: mutant.name.clone(), red, what, secs, guards: mutant.guards.clone() });
    }
    Ok(show(&rows))
}

fn choose(all: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>, String> {
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|mutant| mutant.name == **name)) {
        return Err(format!("there is no `{}/{unknown}.patch`", house::MUTANTS_DIR));
    }
    let chosen: Vec<Mutant> =
        all.into_iter().filter(|mutant| names.is_empty() || names.contains(&mutant.name)).collect();
    if chosen.is_empty() {
        return Err(format!("there is no patch in `{}`", house::MUTANTS_DIR));
    }
    Ok(chosen)
}

/// Runs every named test as the tree is; answers the mutants whose test is green.
fn without_bugs(court: &Court, chosen: &[Mutant]) -> BTreeSet<String> {
    println!("dev: first the tests without any bug (a cold build takes minutes)");
    let tests: BTreeSet<_> = chosen.iter().map(|mutant| (&mutant.red, &mutant.needs)).collect();
    let mut green = BTreeSet::new();
    for (test, needs) in tests {
        let started = Instant::now();
        let shown = format!("-p {} {} {}", test.package, test.target.join(" "), test.filter);
        let held = court.hold("without-bugs", test, needs);
        if matches!(held, Ok(Ended::Green(_))) {
            println!("     green ({} s): {shown}", started.elapsed().as_secs());
            let theirs = chosen.iter().filter(|mutant| (&mutant.red, &mutant.needs) == (test, needs));
            green.extend(theirs.map(|mutant| mutant.name.clone()));
        } else {
            println!("     NOT GREEN: {shown}: {held:?}");
        }
    }
    green
}

/// Whether it is red, and what was seen.
fn verdict(mutant: &Mutant, held: Result<Ended, String>) -> (bool, String) {
    match held {
        Ok(Ended::Red(failed)) => (true, format!("red, {failed} failed")),
        Ok(Ended::Hung) if mutant.hang_ok => (true, "red, it hangs".to_owned()),
        Ok(Ended::Hung) => {
            (false, "the test does not end; if that is how it is seen, say `# hang: ok`".to_owned())
        }
        Ok(Ended::Green(passed)) => (false, format!("{passed} passed: the test does not see the bug")),
        Ok(Ended::NoneRan) => (false, format!("no test is called `{}`", mutant.red.filter)),
        Ok(Ended::Broke(how)) => (false, format!("the tests broke off ({how})")),
        Err(trouble) => (false, trouble),
    }
}

fn show(rows: &[Row]) -> ExitCode {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    println!();
    for row in rows {
        let word = if row.red { "red    " } else { "NOT RED" };
        println!("{word}  {:width$}  {:>4} s  {}", row.name, row.secs, row.guards);
        if !row.red {
            println!("         {}", row.what.replace('\n', "\n         "));
        }
    }
    let n_red = rows.iter().filter(|row| row.red).count();
    println!("\nmutants: {n_red} red, {} not red", rows.len() - n_red);
    if n_red == rows.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(name: &str, hang_ok: bool) -> Mutant {
        let hang = if hang_ok { "# hang: ok\n" } else { "" };
        let text = format!(
            "# bug: b\n# red: -p x --lib a_name\n# guards: g\n{hang}diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n"
        );
        Mutant::parse(name, &text).expect("whole")
    }

    #[test]
    fn nothing_but_a_failing_test_is_red() {
        let red = |held| verdict(&mutant("m", false), held).0;
        assert!(red(Ok(Ended::Red(1))));
        assert!(!red(Ok(Ended::Green(1))) && !red(Ok(Ended::NoneRan)) && !red(Ok(Ended::Hung)));
        assert!(!red(Ok(Ended::Broke("signal: 6".to_owned()))) && !red(Err("it does not build".to_owned())));
        assert!(verdict(&mutant("m", true), Ok(Ended::Hung)).0);
    }

    #[test]
    fn a_name_that_no_patch_has_is_refused() {
        let all = || vec![mutant("a", false), mutant("b", false)];
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(all(), &names)
                .map(|chosen| chosen.into_iter().map(|mutant| mutant.name).collect::<Vec<_>>())
        };
        assert_eq!(named(&["c"]), Err("there is no `tests/mutants/c.patch`".to_owned()));
        assert_eq!(named(&["b"]), Ok(vec!["b".to_owned()]));
        assert_eq!(named(&[]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }
}
