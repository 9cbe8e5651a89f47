//! A planted bug: a patch with a header that says what it breaks and which test must then fail.
//!
//! It must not know how a patch is applied or a test is run.

use std::fs;

/// Where the patches stand, from the workspace's root.
pub const MUTANTS_DIR: &str = "tests/mutants";
/// Most bytes of a patch.
const PATCH_BYTES_MAX: u64 = 64 * 1024;

/// One planted bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file, without `.patch`.
    pub name: String,
    /// What the bug is, one sentence.
    pub bug: String,
    /// The test that must go red.
    pub red: RedTest,
    /// What else the test needs built of its own package: arguments for `cargo build`, such as `--example x`.
    pub needs: Vec<String>,
    /// The rule or the fault test that the test stands for.
    pub guards: String,
    /// Whether a test that does not end counts as red.
    pub hang_ok: bool,
    /// The files that it changes, from the workspace's root.
    pub files: Vec<String>,
}

/// A test, as `cargo test` is told of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedTest {
    /// The package.
    pub package: String,
    /// `--lib`, or `--test` or `--bin` with its name.
    pub target: Vec<String>,
    /// A part of the test's name.
    pub filter: String,
}

impl Mutant {
    /// Reads the text of `tests/mutants/<name>.patch`.
    ///
    /// Errors: the line that is wrong or missing.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (mut bug, mut red, mut needs, mut guards, mut hang) = (None, None, None, None, None);
        let header = text.lines().take_while(|line| !line.starts_with("diff --git "));
        for line in header {
            let said = line.strip_prefix("# ").and_then(|said| said.split_once(": "));
            let Some((key, value)) = said.map(|(key, value)| (key, value.trim())) else {
                return Err(format!("`{line}` is not `# key: value`"));
            };
            let place = match key {
                "bug" => &mut bug,
                "red" => &mut red,
                "needs" => &mut needs,
                "guards" => &mut guards,
                "hang" => &mut hang,
                _ => return Err(format!("`{key}` is not one of `bug`, `red`, `needs`, `guards`, `hang`")),
            };
            if value.is_empty() || place.replace(value).is_some() {
                return Err(format!("`# {key}:` is empty or stands there twice"));
            }
        }
        let missing = |key: &str| format!("there is no line `# {key}: …` before the diff");
        let hang_ok = match hang {
            None => false,
            Some("ok") => true,
            Some(other) => return Err(format!("`# hang: {other}` is not `# hang: ok`")),
        };
        Ok(Self {
            name: name.to_owned(),
            bug: bug.ok_or_else(|| missing("bug"))?.to_owned(),
            red: RedTest::parse(red.ok_or_else(|| missing("red"))?)?,
            needs: needs.unwrap_or("").split_whitespace().map(str::to_owned).collect(),
            guards: guards.ok_or_else(|| missing("guards"))?.to_owned(),
            hang_ok,
            files: changed_files(text)?,
        })
    }
}

impl RedTest {
    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (package, target, filter) = match words.as_slice() {
            ["-p", package, "--lib", filter] => (package, vec!["--lib"], filter),
            ["-p", package, kind @ ("--test" | "--bin"), target, filter] => {
                (package, vec![*kind, *target], filter)
            }
            _ => {
                return Err(format!(
                    "`# red: {text}` is not `-p <package> --lib|--test X|--bin X <part of the test's name>`"
                ));
            }
        };
        let target = target.into_iter().map(str::to_owned).collect();
        Ok(Self { package: (*package).to_owned(), target, filter: (*filter).to_owned() })
    }
}

/// Answers the files that a diff changes; making, moving and deleting files is not a planted bug.
fn changed_files(text: &str) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (Some(old), Some(next)) = (line.strip_prefix("--- "), lines.peek()) else { continue };
        let Some(new) = next.strip_prefix("+++ ") else { continue };
        match (old.strip_prefix("a/"), new.strip_prefix("b/")) {
            (Some(old), Some(new)) if old == new => files.push(new.to_owned()),
            _ => return Err(format!("`{old}` becomes `{new}`; a mutant changes files `a/x` to `b/x` only")),
        }
    }
    if files.is_empty() {
        return Err("it changes no file; append the output of `git diff`".to_owned());
    }
    Ok(files)
}

/// Reads all mutants, sorted by name.
///
/// Errors: the file and what is wrong with it.
pub fn mutants() -> Result<Vec<Mutant>, String> {
    let dir = crate::workspace_dir().join(MUTANTS_DIR);
    let trouble = |error: std::io::Error| format!("cannot read `{MUTANTS_DIR}`: {error}");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let wrong = |what: String| format!("{MUTANTS_DIR}/{file}: {what}");
        let name = file.strip_suffix(".patch").ok_or_else(|| wrong("not a `.patch`".to_owned()))?;
        if entry.metadata().map_err(trouble)?.len() > PATCH_BYTES_MAX {
            return Err(wrong(format!("longer than {PATCH_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(entry.path()).map_err(trouble)?;
        found.push(Mutant::parse(name, &text).map_err(wrong)?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str =
        "diff --git a/x/src/a.rs b/x/src/a.rs\n--- a/x/src/a.rs\n+++ b/x/src/a.rs\n@@ -1 +1 @@\n-a\n+b\n";
    const HEADER: &str = "# bug: it forgets.\n# red: -p x --test y a_name\n# guards: promise 1\n";

    fn refused(text: &str) -> String {
        Mutant::parse("m", text).expect_err("it is wrong")
    }

    #[test]
    fn a_patch_without_a_whole_header_is_refused_with_the_line_that_lacks() {
        for key in ["bug", "red", "guards"] {
            let without: String =
                HEADER.lines().filter(|line| !line.contains(key)).map(|line| format!("{line}\n")).collect();
            let expected = format!("there is no line `# {key}: …` before the diff");
            assert_eq!(refused(&format!("{without}{DIFF}")), expected);
        }
        assert_eq!(
            refused(&format!("{HEADER}# bug: again\n{DIFF}")),
            "`# bug:` is empty or stands there twice"
        );
        assert_eq!(refused(&format!("{HEADER}free text\n{DIFF}")), "`free text` is not `# key: value`");
        assert_eq!(refused(&format!("{HEADER}# hang: no\n{DIFF}")), "`# hang: no` is not `# hang: ok`");
    }

    #[test]
    fn a_red_test_names_one_package_one_target_and_one_test() {
        for wrong in
            ["-p x --lib", "--lib a_name", "-p x a_name", "-p x --lib a_name another", "-p x --test a_name"]
        {
            let text = format!("# bug: b\n# red: {wrong}\n# guards: g\n{DIFF}");
            assert!(refused(&text).starts_with(&format!("`# red: {wrong}` is not")), "{wrong}");
        }
    }

    #[test]
    fn a_mutant_changes_files_that_are_there() {
        assert_eq!(refused(HEADER), "it changes no file; append the output of `git diff`");
        let made = DIFF.replace("--- a/x/src/a.rs", "--- /dev/null");
        assert!(refused(&format!("{HEADER}{made}")).starts_with("`/dev/null` becomes `b/x/src/a.rs`"));
    }

    #[test]
    fn a_whole_patch_is_read() {
        let text = format!("{HEADER}# hang: ok\n# needs: --example z\n{DIFF}");
        let expected = Mutant {
            name: "m".to_owned(),
            bug: "it forgets.".to_owned(),
            red: RedTest {
                package: "x".to_owned(),
                target: vec!["--test".to_owned(), "y".to_owned()],
                filter: "a_name".to_owned(),
            },
            needs: vec!["--example".to_owned(), "z".to_owned()],
            guards: "promise 1".to_owned(),
            hang_ok: true,
            files: vec!["x/src/a.rs".to_owned()],
        };
        assert_eq!(Mutant::parse("m", &text), Ok(expected));
    }
}
