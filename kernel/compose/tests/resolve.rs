//! What a plan holds, beyond what its printed text shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dispatch_compose::{
    Answer, BuildList, Catalog, GraphFormat, Manifest, Plan, Policy, Problems, print_graph, resolve,
};
use dispatch_contracts::ContributionKind;
use dispatch_contracts::tool::Decision;
use semver::Version;

fn manifest(id: &str, rest: &str) -> Manifest {
    let text = format!("id = \"{id}\"\nversion = \"1.0.0\"\nsummary = \"Invented.\"\n{rest}");
    Manifest::parse(Path::new("extension.toml"), text.as_bytes())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn catalog<'a>(extensions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Catalog {
    let mut catalog = Catalog::new();
    for (id, rest) in extensions {
        catalog.add(manifest(id, rest), format!("lib/{id}.so"));
    }
    catalog
}

fn resolved(build: &str, catalog: &Catalog) -> Result<Plan, Problems> {
    resolve(&BuildList::parse(Path::new("build.toml"), build)?, catalog, &Version::new(0, 1, 0))
}

fn list(ids: &[String]) -> String {
    ids.iter().map(|id| format!("[[extension]]\nid = \"{id}\"\n")).collect()
}

fn names(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn order(plan: &Plan) -> Vec<&str> {
    plan.instances.iter().map(|instance| instance.id.as_str()).collect()
}

#[test]
fn a_planned_instance_holds_all_that_was_said_about_it() {
    let catalog = catalog([
        ("base", "provides = [\"alpha.v1\"]"),
        ("extra", "provides = [\"beta.v1\"]"),
        (
            "provider-wire",
            "requires = [\"alpha.v1\", \"tool.v1\"]\noptional = [\"beta.v1\", \"omega.v1\"]\ncapabilities = [\"net:*\", \"exec\"]\n\
             contributes = { providers = [\"{instance}\"], ops = [\"{instance}.list\"], tools = [\"{instance}__*\"] }",
        ),
    ]);
    let build = "policy = { exec = \"deny\" }\n\
        [[extension]]\nid = \"tool-first\"\nfrom = \"provider-wire\"\ngrant = [\"net:*\"]\nworkers = 3\nrequired = true\n\
        config = { a = 1 }\n[[extension]]\nid = \"extra\"\n[[extension]]\nid = \"base\"\n";
    let plan = resolved(build, &catalog).unwrap_or_else(|problems| panic!("{problems}"));

    assert_eq!(order(&plan), ["extra", "base", "tool-first"]);
    let instance = plan.instance("tool-first").expect("it is planned");
    assert_eq!(instance.from, "provider-wire");
    assert_eq!(instance.manifest.id, "provider-wire");
    assert_eq!(instance.library, PathBuf::from("lib/provider-wire.so"));
    assert_eq!(instance.config, serde_json::json!({"a": 1}));
    assert_eq!(instance.grants.iter().map(ToString::to_string).collect::<Vec<_>>(), ["net:*"]);
    assert_eq!((instance.required, instance.workers), (true, 3));
    assert_eq!(instance.dependencies, ["base"]);
    assert_eq!(instance.optional_dependencies, ["extra"]);
    assert_eq!(instance.contributes.of(ContributionKind::Provider), ["first"]);
    assert!(instance.contributes.declares(ContributionKind::Op, "first.list"));
    assert!(instance.contributes.declares(ContributionKind::Tool, "first__anything"));
    assert!(!instance.contributes.declares(ContributionKind::Tool, "other__anything"));

    let bound = BTreeMap::from([("alpha.v1", "base"), ("beta.v1", "extra")]);
    assert_eq!(plan.binds, bound.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
    assert_eq!(plan.policy, Policy { read: None, write: None, exec: Some(Decision::Deny) });
    let answers = ["alpha.v1", "omega.v1", "turn.v1", "provider.v1", "turn_host.v1", "retry.v1"];
    let expected = [
        Answer::Instance("base"),
        Answer::Nobody,
        Answer::Kernel,
        Answer::Kernel,
        Answer::Caller,
        Answer::Nobody,
    ];
    assert_eq!(answers.map(|contract| plan.answer(contract)), expected);
}

#[test]
fn an_optional_edge_that_would_close_a_cycle_is_dropped() {
    let catalog = catalog([
        ("low", "provides = [\"low.v1\"]\noptional = [\"high.v1\", \"low.v1\"]"),
        ("high", "provides = [\"high.v1\"]\nrequires = [\"low.v1\"]"),
    ]);
    let plan = resolved(&list(&names(&["high", "low"])), &catalog).expect("it resolves");
    assert_eq!(order(&plan), ["low", "high"]);
    assert_eq!(plan.instances[0].optional_dependencies, Vec::<String>::new());
    assert_eq!(plan.instances[1].dependencies, ["low"]);
}

/// Each instance `n<i>` provides `c<i>.v1` and requires some of those with a smaller number.
#[test]
fn the_order_is_the_first_of_the_list_that_is_ready_again_and_again() {
    let mut seed = 7_u32;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize % below
    };
    for _ in 0..100 {
        let count = 2 + random(11);
        let required: Vec<Vec<usize>> =
            (0..count).map(|idx| (0..idx).filter(|_| random(3) == 0).collect()).collect();
        let mut catalog = Catalog::new();
        for (idx, required) in required.iter().enumerate() {
            let requires: Vec<String> = required.iter().map(|idx| format!("c{idx}.v1")).collect();
            let rest = format!("provides = [\"c{idx}.v1\"]\nrequires = {requires:?}");
            catalog.add(manifest(&format!("n{idx}"), &rest), format!("lib/n{idx}.so"));
        }
        let mut listed: Vec<usize> = (0..count).collect();
        for idx in (1..count).rev() {
            listed.swap(idx, random(idx + 1));
        }
        let mut expected: Vec<usize> = Vec::new();
        while let Some(next) = listed.iter().find(|idx| {
            !expected.contains(idx) && required[**idx].iter().all(|needed| expected.contains(needed))
        }) {
            expected.push(*next);
        }
        let ids = |idxs: &[usize]| idxs.iter().map(|idx| format!("n{idx}")).collect::<Vec<_>>();
        let plan = resolved(&list(&ids(&listed)), &catalog).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(order(&plan), ids(&expected));
    }
}

#[test]
fn the_same_file_found_twice_is_one_extension() {
    let mut catalog = Catalog::new();
    catalog.add(manifest("twin", ""), "lib/twin.so");
    catalog.add(manifest("twin", ""), "lib/twin.so");
    assert_eq!(catalog.candidates("twin").len(), 1);
    assert!(resolved(&list(&names(&["twin"])), &catalog).is_ok());
}

#[test]
fn a_directory_as_path_chooses_the_library_below_it() {
    let mut catalog = Catalog::new();
    catalog.add(manifest("twin", ""), "one/twin/twin.so");
    catalog.add(manifest("twin", ""), "two/twin.so");
    let plan =
        resolved("[[extension]]\nid = \"twin\"\npath = \"./three/../one\"\n", &catalog).expect("it resolves");
    assert_eq!(plan.instances[0].library, PathBuf::from("one/twin/twin.so"));
}

#[test]
fn a_wildcard_hides_no_later_collision() {
    let catalog = catalog([
        ("wide", "contributes = { tools = [\"a*\"] }"),
        ("narrow", "contributes = { tools = [\"ab*\", \"b\"] }"),
        ("exact", "contributes = { tools = [\"abc\", \"az\", \"b\"] }"),
    ]);
    let problems = resolved(&list(&names(&["exact", "narrow", "wide"])), &catalog).expect_err("they collide");
    let messages: Vec<&str> = problems.0.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the tools `abc` (under `ab*`), `b` are contributed by `exact` and by `narrow`",
            "the tool `az` (under `a*`) is contributed by `exact` and by `wide`",
            "the tool `ab*` (under `a*`) is contributed by `narrow` and by `wide`",
        ]
    );
}

#[test]
fn a_plan_prints_as_a_drawing() {
    let catalog = catalog([
        ("end", "provides = [\"alpha.v1\"]\noptional = [\"beta.v1\", \"omega.v1\"]"),
        ("user", "requires = [\"alpha.v1\", \"turn.v1\"]"),
        ("beta", "provides = [\"beta.v1\"]"),
    ]);
    let plan = resolved(&list(&names(&["user", "end", "beta"])), &catalog).expect("it resolves");
    assert_eq!(
        print_graph(&plan, GraphFormat::Dot),
        r#"digraph build {
  rankdir = LR;
  node [shape = box];
  "beta" [label = "beta\n1.0.0"];
  "end" [label = "end\n1.0.0"];
  "user" [label = "user\n1.0.0"];
  "end" -> "beta" [label = "beta.v1", style = dashed];
  "user" -> "end" [label = "alpha.v1"];
}
"#
    );
    assert_eq!(
        print_graph(&plan, GraphFormat::Mermaid),
        "flowchart LR\n  n0[\"beta<br>1.0.0\"]\n  n1[\"end<br>1.0.0\"]\n  n2[\"user<br>1.0.0\"]\n  \
         n1 -.->|beta.v1| n0\n  n2 -->|alpha.v1| n1\n"
    );
}

#[test]
fn a_name_beats_a_pattern_of_the_same_instance_and_of_no_other() {
    let bridge = ("bridge", r#"contributes = { tools = ["mcp__*", "mcp__status", "mcp__x*"] }"#);
    let other = ("other", r#"contributes = { tools = ["mcp__status"] }"#);
    let said = |ids: &[&str]| {
        let catalog = catalog([bridge, other]);
        resolved(&list(&names(ids)), &catalog).map(|_| ()).map_err(|problems| problems.to_string())
    };
    let twice = said(&["bridge"]).expect_err("a pattern within a pattern says nothing new");
    assert!(
        twice.contains("the tool `mcp__x*` (under `mcp__*`) is contributed twice by `bridge`"),
        "{twice}"
    );
    assert!(!twice.contains("mcp__status"), "{twice}");
    let both = said(&["bridge", "other"]).expect_err("two instances");
    assert!(both.contains("contributed by `bridge` and by `other`"), "{both}");

    let catalog = catalog([("bridge", r#"contributes = { tools = ["mcp__*", "mcp__status"] }"#)]);
    let plan = resolved(&list(&names(&["bridge"])), &catalog).unwrap_or_else(|problems| panic!("{problems}"));
    let bridge = plan.instance("bridge").expect("it is planned");
    for name in ["mcp__status", "mcp__anything"] {
        assert!(bridge.contributes.declares(ContributionKind::Tool, name), "{name}");
    }
}
