//! The planted bugs of `tests/mutants`.
//!
//! It must not know whether a test sees them; `cargo house mutants` does, and takes minutes.

use std::process::Command;

use house::MUTANTS_DIR;

use super::rule::Rule;

#[test]
fn every_mutant_has_its_header_and_still_applies() {
    let mut broken = Vec::new();
    match ::house::mutants() {
        Err(wrong) => broken.push(wrong),
        Ok(mutants) if mutants.is_empty() => broken.push(format!("{MUTANTS_DIR}: no patch")),
        Ok(mutants) => {
            let names = mutants.iter().map(|mutant| format!("{MUTANTS_DIR}/{}.patch", mutant.name));
            broken.extend(names.filter_map(|path| applies(&path).err()));
        }
    }
    Rule {
        says: "a patch in `tests/mutants` begins with `# bug:`, `# red:` and `# guards:` and applies to the tree",
        mend: "make the change by hand again, and put `git diff` below the same header",
    }
    .holds(&broken);
}

fn applies(path: &str) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "git wrote the patches, and git reads them")]
    let mut git = Command::new("git");
    git.args(["apply", "--check", path]).current_dir(::house::workspace_dir());
    let output = git.output().map_err(|error| format!("{path}: cannot start `git apply`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{path}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
