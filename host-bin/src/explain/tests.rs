//! Which layer wins a key, and what it overrides.

use super::*;
use crate::argv::{HostOptions, Request};
use crate::config::apply;
use crate::project::{Project, TrustedSettings};
use dispatch_compose::{BuildList, Catalog, Manifest, resolve};
use dispatch_contracts::kernel::Dirs;
use std::path::Path;
use tempfile::TempDir;

/// Whether a person trusts the project.
enum Trusted {
    Yes,
    No,
}
use Trusted::{No, Yes};

struct Place {
    _temp: TempDir,
    plan: Plan,
    layers: Layers,
    environment: Environment,
}

/// A build `toy` with `build` as its configuration, and every layer above it.
fn place(
    build: &str,
    user: &str,
    project: (&str, Trusted),
    variables: &[(&str, &str)],
    set: &[&str],
) -> Place {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("config.toml"), user).unwrap();
    let file = temp.path().join("project.toml");
    std::fs::write(&file, project.0).unwrap();
    let project = match project.1 {
        Yes => {
            let settings = TrustedSettings { path: file, bytes: project.0.as_bytes().to_owned() };
            Project::Trusted { dir: temp.path().to_owned(), settings: Some(settings) }
        }
        No => Project::Untrusted { dir: temp.path().to_owned(), file },
    };
    let mut catalog = Catalog::new();
    let manifest = "id = \"toy\"\nversion = \"0.1.0\"\nsummary = \"A toy.\"\n";
    catalog
        .add(Manifest::parse(Path::new("extension.toml"), manifest.as_bytes()).unwrap(), "toy.so".to_owned());
    let text = format!("[[extension]]\nid = \"toy\"\nconfig = {build}\n");
    let list = BuildList::parse(Path::new("build.toml"), &text).unwrap();
    let mut plan = resolve(&list, &catalog, &dispatch_kernel::kernel_version()).unwrap();
    let environment = Environment::of(variables);
    let options = HostOptions { set: set.iter().map(|&s| s.to_owned()).collect(), ..HostOptions::default() };
    let invocation = Invocation { options, environment: environment.clone(), request: Request::Help };
    let dirs = Dirs { config: temp.path().to_str().unwrap().to_owned(), ..Dirs::default() };
    let mut layers = Layers::of_build(&list);
    layers.add_all(&plan, &invocation, &dirs, &project).unwrap();
    apply(&mut plan, &layers);
    Place { _temp: temp, plan, layers, environment }
}

fn lines(place: &Place, key: Option<&str>) -> Vec<String> {
    let shown = chosen(&place.plan, explain(&place.plan, &place.layers), key).unwrap();
    let text = in_text(&shown, &place.environment);
    let dir = place._temp.path().to_str().unwrap();
    text.replace(&format!("{dir}/"), "").lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn every_layer_beats_those_before_it_and_is_shown_over_them() {
    let place = place(
        "{ a = 1 }",
        "[toy]\na = 2\n",
        ("[toy]\na = 3\n", Yes),
        &[("DISPATCH_SET__TOY__A", "4")],
        &["toy.a=5"],
    );
    let expected = [
        "toy.a = 5",
        "    from set      --set",
        "    over variable DISPATCH_SET__TOY__A: 4",
        "    over project  project.toml:2: 3",
        "    over user     config.toml:2: 2",
        "    over build    build.toml:3: 1",
    ];
    assert_eq!(lines(&place, None), expected);
}

#[test]
fn an_untrusted_project_is_no_layer() {
    let place = place("{ a = 1 }", "", ("[toy]\na = 2\n", No), &[], &[]);
    assert_eq!(lines(&place, None), ["toy.a = 1", "    from build    build.toml:3"]);
}

#[test]
fn a_secret_is_its_variables_name_and_whether_it_is_set() {
    let place = place(
        "{ key = { env = \"OLD\" }, list = [{ env = \"KEY\" }] }",
        "[toy]\nkey = { env = \"KEY\" }\nother = { env = \"UNSET\" }\n",
        ("", No),
        &[("KEY", "s3cret"), ("OLD", "s3cret")],
        &[],
    );
    let expected = [
        "toy.key = { env = \"KEY\" }  (set)",
        "    from user     config.toml:2",
        "    over build    build.toml:3: { env = \"OLD\" }",
        "toy.list = [{ env = \"KEY\" }]",
        "    from build    build.toml:3",
        "toy.other = { env = \"UNSET\" }  (not set)",
        "    from user     config.toml:3",
    ];
    assert_eq!(lines(&place, None), expected);
    let shown = explain(&place.plan, &place.layers);
    let document: Value = serde_json::from_str(&in_json(&shown, &place.environment)).unwrap();
    assert_eq!(document["keys"][0]["variable_set"], json!(true));
    assert_eq!(document["keys"][2]["variable_set"], json!(false));
    assert!(!document.to_string().contains("s3cret"));
}

#[test]
fn a_variable_is_known_as_a_secret_in_whichever_layer_it_stands_and_whoever_overrides_it() {
    let place = place(
        "{ a = { env = \"A\" }, list = [{ env = \"B\" }], plain = \"x\" }",
        "[toy]\na = \"sk\"\nb = { env = \"C\" }\n",
        ("", No),
        &[("DISPATCH_SET__TOY__B", "sk")],
        &["toy.a=sk", "toy.c={ env = \"D\" }"],
    );
    assert_eq!(place.layers.variables_named(), ["A", "B", "C", "D"].map(str::to_owned).into());
}

#[test]
fn a_credential_is_hidden_whichever_layer_says_it() {
    let place = place(
        "{ api_key = \"canary-1\", limits = { token = \"canary-2\" } }",
        "[toy]\napi_key = \"canary-3\"\nheaders = { x = \"canary-4\" }\n",
        ("[toy]\nlevel = 1\n", Yes),
        &[("DISPATCH_SET__TOY__API_KEY", "canary-5")],
        &["toy.api_key=canary-6", "toy.base_url=http://me:canary-7@h/"],
    );
    let shown = explain(&place.plan, &place.layers);
    let text = format!("{}{}", in_text(&shown, &place.environment), in_json(&shown, &place.environment));
    assert!(!text.contains("canary") && text.contains("(hidden)") && text.contains("level = 1"), "{text}");
}

#[test]
fn a_table_of_no_instance_is_named_with_the_one_that_may_be_meant() {
    let place = place("{ a = 1 }", "[toi]\na = 2\nb = 3\n[elsewhere]\na = 1\n", ("", No), &[], &[]);
    let notes: Vec<String> = place.layers.strangers.iter().map(crate::config::Stranger::note).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    let said = |what: &str| notes.iter().any(|note| note.contains(what));
    assert!(
        said("no instance `toi`; did you mean `[toy]`?") && said("`elsewhere`; it is read by no"),
        "{notes:?}"
    );
}

#[test]
fn a_table_and_a_value_in_its_place_override_each_other() {
    let place = place(
        "{ t = { x = 1, y = 2 }, u = 1 }",
        "[toy]\nt.x = 3\n",
        ("", No),
        &[],
        &["toy.t={ x = 4 }", "toy.u.v=5"],
    );
    let expected = [
        "toy.t.x = 4",
        "    from set      --set",
        "    over user     config.toml:2: 3",
        "    over build    build.toml:3: 1",
        "toy.u.v = 5",
        "    from set      --set",
        "    over build    build.toml:3: 1",
    ];
    assert_eq!(lines(&place, None), expected);
}

#[test]
fn a_key_chooses_what_it_begins_and_a_wrong_one_is_refused_with_the_nearest() {
    let place = place("{ limits = { first = 1, second = 2 }, other = 3 }", "", ("", No), &[], &[]);
    let of =
        |key| lines(&place, Some(key)).into_iter().filter(|line| !line.starts_with(' ')).collect::<Vec<_>>();
    assert_eq!(of("toy.limits"), ["toy.limits.first = 1", "toy.limits.second = 2"]);
    assert_eq!(of("toy.other"), ["toy.other = 3"]);
    assert_eq!(of("toy").len(), 3);
    let wrong =
        |key| chosen(&place.plan, explain(&place.plan, &place.layers), Some(key)).unwrap_err().message;
    assert_eq!(wrong("toyy.other"), "the build has no instance `toyy`; did you mean `toy`?");
    assert_eq!(wrong("toy.othr"), "nothing sets `toy.othr`; did you mean `toy.other`?");
    assert!(wrong("toy.nothing-like-it").contains("`dispatch config explain toy`"));
}
