//! Who may know whom: the rooms of the house, the crates each may use, and the libraries of the inner rooms.
//!
//! It must not know what a crate does. A new line here is a numbered line in `kernel/README.md`, "Decisions".

use super::rule::Rule;
use super::rust_text::is_test_file;
use super::tree::{TreeFile, rust_files};
use super::workspace::{Dependency, Package, workspace};

/// A room, by its directory; `extensions/` stands for every directory in it.
struct Room {
    directory: &'static str,
    /// Packages of ours that it may build on.
    ours: &'static [&'static str],
    /// Packages of ours that its tests may use besides.
    ours_in_tests: &'static [&'static str],
    /// Packages of others; `None` = free.
    others: Option<&'static [&'static str]>,
}

const ROOMS: &[Room] = &[
    Room {
        directory: "kernel/abi",
        ours: &[],
        ours_in_tests: &[],
        others: Some(&["abi_stable", "async-ffi"]),
    },
    Room {
        directory: "kernel/contracts",
        ours: &[],
        ours_in_tests: &[],
        others: Some(&["schemars", "serde", "serde_json"]),
    },
    Room {
        directory: "kernel/wire",
        ours: &["dispatch-abi", "dispatch-contracts"],
        ours_in_tests: &[],
        others: Some(&["serde", "serde_json"]),
    },
    Room {
        directory: "kernel/compose",
        ours: &["dispatch-contracts"],
        ours_in_tests: &[],
        others: Some(&["jsonschema", "petgraph", "semver", "serde_json", "toml"]),
    },
    Room {
        directory: "kernel/load",
        ours: &["dispatch-abi", "dispatch-compose"],
        ours_in_tests: &[],
        others: Some(&["libc", "libloading", "object", "serde", "serde_json", "sha2", "tracing"]),
    },
    Room {
        directory: "kernel/turn",
        ours: &["dispatch-contracts"],
        ours_in_tests: &[],
        others: Some(&[
            "futures-util",
            "jsonschema",
            "serde",
            "serde_json",
            "tokio",
            "tokio-util",
            "tracing",
        ]),
    },
    Room {
        directory: "kernel/core",
        ours: &[
            "dispatch-abi",
            "dispatch-compose",
            "dispatch-contracts",
            "dispatch-load",
            "dispatch-turn",
            "dispatch-wire",
        ],
        ours_in_tests: &["dispatch-sdk", "dispatch-testkit"],
        others: Some(&[
            "arc-swap",
            "futures-util",
            "jsonschema",
            "semver",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "uuid",
        ]),
    },
    Room {
        directory: "kernel/sdk",
        ours: &["dispatch-abi", "dispatch-contracts", "dispatch-wire"],
        ours_in_tests: &[],
        others: Some(&["base64", "futures-util", "libc", "serde", "serde_json", "tokio", "tracing"]),
    },
    Room {
        directory: "kernel/testkit",
        ours: &["dispatch-abi", "dispatch-contracts", "dispatch-sdk", "dispatch-wire"],
        ours_in_tests: &[],
        others: None,
    },
    Room {
        directory: "extensions/",
        ours: &["dispatch-sdk"],
        ours_in_tests: &["dispatch-testkit"],
        others: None,
    },
    Room {
        directory: "host-bin",
        ours: &["dispatch-compose", "dispatch-contracts", "dispatch-kernel"],
        ours_in_tests: &[],
        others: Some(&[
            "clap",
            "clap_complete",
            "clap_mangen",
            "rustix",
            "sd-notify",
            "serde_json",
            "tokio",
            "toml",
            "tracing",
            "tracing-subscriber",
        ]),
    },
];

/// What only tests: it may know everybody.
const FREE: &[&str] = &["tests", "tests/toys/"];

fn room_of(directory: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| stands_in(directory, room.directory))
}

fn stands_in(directory: &str, room: &str) -> bool {
    if room.ends_with('/') { directory.starts_with(room) } else { directory == room }
}

#[test]
fn a_crate_knows_only_whom_its_room_may_know() {
    let mut broken = Vec::new();
    for package in workspace().ours() {
        let directory = workspace().directory(package);
        match room_of(&directory) {
            Some(room) => broken.extend(strangers(package, room, &directory)),
            None if FREE.iter().any(|free| stands_in(&directory, free)) => {}
            None => broken.push(format!("{directory}/Cargo.toml: `{}` stands in no room", package.name)),
        }
    }
    Rule {
        says: "a crate depends on no other of ours, and an inner room on no library, than its room's line allows",
        mend: "go through a contract or the SDK; a new edge is a line in `tests/tests/house/layering.rs` and a \
               numbered decision in `kernel/README.md`",
    }
    .holds(&broken);
}

fn strangers(package: &Package, room: &Room, directory: &str) -> Vec<String> {
    let is_test = |dependency: &Dependency| dependency.kind.as_deref() == Some("dev");
    let allowed = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        match (&dependency.path, room.others) {
            (Some(_), _) => {
                room.ours.contains(&name) || is_test(dependency) && room.ours_in_tests.contains(&name)
            }
            (None, Some(others)) => others.contains(&name) || is_test(dependency),
            (None, None) => true,
        }
    };
    let strangers = package.dependencies.iter().filter(|dependency| !allowed(dependency));
    strangers
        .map(|dependency| {
            let section = dependency.kind.as_deref().map_or(String::new(), |kind| format!("{kind}-"));
            format!("{directory}/Cargo.toml: `{}` in its {section}dependencies", dependency.name)
        })
        .collect()
}

#[test]
fn the_boundary_names_exact_versions_and_schemas_fetch_nothing() {
    let mut broken = Vec::new();
    for package in workspace().ours() {
        for dependency in &package.dependencies {
            let pinned = match dependency.name.as_str() {
                "abi_stable" => dependency.req == "=0.11.3",
                "async-ffi" => dependency.req == "=0.5.1",
                "jsonschema" => !dependency.uses_default_features,
                _ => true,
            };
            if !pinned {
                let found = format!("`{}` {}", dependency.name, dependency.req);
                broken.push(format!("{}/Cargo.toml: {found}", workspace().directory(package)));
            }
        }
    }
    Rule {
        says: "`abi_stable` is =0.11.3 and `async-ffi` =0.5.1, for their layouts are the boundary; `jsonschema` has \
               no default features, for they open files and sockets",
        mend: "use `workspace = true`, and change the root `Cargo.toml` only with a new ABI",
    }
    .holds(&broken);
}

#[test]
fn every_room_of_the_table_that_exists_is_seen() {
    let directories: Vec<String> = workspace().ours().map(|package| workspace().directory(package)).collect();
    let root = ::house::workspace_dir();
    let standing = ROOMS.iter().filter(|room| root.join(room.directory).exists());
    let unseen =
        standing.filter(|room| !directories.iter().any(|directory| stands_in(directory, room.directory)));
    let broken: Vec<String> = unseen.map(|room| format!("{}: no package", room.directory)).collect();
    Rule {
        says: "every room is a member of the workspace",
        mend: "add it to `members` in the root `Cargo.toml`",
    }
    .holds(&broken);
}

/// What everything else stands on, and what stands on everything.
const WAIST: [&str; 2] = ["kernel/abi/src/", "kernel/core/src/"];
/// Most lines of both together, tests not counted.
const WAIST_LINES_MAX: usize = 6000;

#[test]
fn the_boundary_and_the_core_stay_small_enough_to_be_read() {
    let counted =
        |file: &&TreeFile| WAIST.iter().any(|room| file.path.starts_with(room)) && !is_test_file(&file.path);
    let mut longest: Vec<(usize, &str)> = rust_files()
        .filter(counted)
        .map(|file| (lines_without_tests(&file.text), file.path.as_str()))
        .collect();
    let lines: usize = longest.iter().map(|(lines, _)| lines).sum();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    let all = longest.iter().map(|(lines, path)| format!("{path}: {lines} lines"));
    let broken: Vec<String> = if lines > WAIST_LINES_MAX { all.take(10).collect() } else { Vec::new() };
    assert!(!longest.is_empty(), "the files of {WAIST:?} are found");
    Rule {
        says: "the ABI and the core have at most 6,000 lines together, without tests",
        mend: "move what makes a plan to `kernel/compose`, what maps a library to `kernel/load`, what runs a turn to \
               `kernel/turn`; the longest files are",
    }
    .holds(&broken);
}

/// Lines before the tests that stand at a file's end.
fn lines_without_tests(text: &str) -> usize {
    text.split("\n#[cfg(test)]\nmod tests {").next().map_or(0, |code| code.lines().count())
}

#[test]
fn the_tests_at_a_file_s_end_are_not_counted() {
    assert_eq!(lines_without_tests("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"), 1);
    assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 3);
}
