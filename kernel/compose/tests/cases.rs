//! Runs the cases under `tests/cases`: a TOML file in, the printed outcome beside it; `UPDATE=1` rewrites.

use std::fs;
use std::path::{Path, PathBuf};

use dispatch_compose::{BuildList, Catalog, GraphFormat, Manifest, Problems, print_graph, resolve};
use semver::Version;

#[test]
fn every_manifest_is_taken_or_refused_as_written_beside_it() {
    run("manifest", |path| match Manifest::read(path) {
        Ok(manifest) => format!("{manifest:#?}\n"),
        Err(problems) => format!("{problems}\n"),
    });
}

#[test]
fn every_build_is_resolved_or_refused_as_written_beside_it() {
    let catalog = catalog();
    run("build", |path| match plan_text(path, &catalog) {
        Ok(text) => text,
        Err(problems) => format!("{problems}\n"),
    });
}

fn plan_text(path: &Path, catalog: &Catalog) -> Result<String, Problems> {
    let build = BuildList::read(path)?;
    let plan = resolve(&build, catalog, &Version::new(0, 5, 0))?;
    let configs: Vec<String> = plan
        .instances
        .iter()
        .filter(|instance| instance.config != serde_json::json!({}))
        .map(|instance| format!("config of {}: {}\n", instance.id, instance.config))
        .collect();
    Ok(print_graph(&plan, GraphFormat::Text) + &configs.concat())
}

/// The invented extensions that builds choose from; `<name>.toml` stands for the library `lib/<name>.so`.
fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    for path in toml_files("catalog") {
        let manifest = Manifest::read(&path).unwrap_or_else(|problems| panic!("{problems}"));
        let name = path.file_stem().expect("a listed file has a name").to_string_lossy().into_owned();
        catalog.add(manifest, format!("tests/lib/{name}.so"));
    }
    catalog
}

fn run(folder: &str, outcome: impl Fn(&Path) -> String) {
    let mut differing = Vec::new();
    let files = toml_files(folder);
    assert!(files.len() > 10, "the cases are found");
    for path in files {
        let printed = outcome(&path);
        let beside = path.with_extension("txt");
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if printed != expected {
            if update() {
                fs::write(&beside, &printed).expect("the checkout is writable");
            }
            differing.push(format!("{}\n--- expected\n{expected}\n--- printed\n{printed}", path.display()));
        }
    }
    assert!(differing.is_empty() || update(), "{}", differing.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests, not configuration")]
fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Relative paths, so that printed places are the same on every machine.
fn toml_files(folder: &str) -> Vec<PathBuf> {
    let directory = Path::new("tests/cases").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the folder of cases is there")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}
