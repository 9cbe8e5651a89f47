//! The packages of the workspace and of those it is built from, as `cargo metadata` tells them.
//!
//! It must not know any rule.

use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

/// What of `cargo metadata` is looked at.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

/// One package.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None` for a package of the workspace.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A direct dependency as `Cargo.toml` declares it.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) req: String,
    /// `None` = normal, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) uses_default_features: bool,
    /// Set for a package of the workspace.
    pub(crate) path: Option<String>,
}

/// What cargo builds of a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
    pub(crate) crate_types: Vec<String>,
}

/// Answers the workspace; cargo is asked once.
pub(crate) fn workspace() -> &'static Workspace {
    static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
    WORKSPACE.get_or_init(|| {
        let metadata = ::house::metadata().unwrap_or_else(|trouble| panic!("{trouble}"));
        serde_json::from_value(metadata)
            .unwrap_or_else(|error| panic!("cannot read `cargo metadata`: {error}"))
    })
}

impl Workspace {
    /// The packages of this repository.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The packages of others that are built on this platform.
    pub(crate) fn third_party(&self) -> impl Iterator<Item = &Package> {
        let built = |package: &&Package| self.resolve.nodes.iter().any(|node| node.id == package.id);
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id)).filter(built)
    }

    /// Where a package of ours stands, from the root: `kernel/abi`.
    pub(crate) fn directory(&self, package: &Package) -> String {
        let manifest = Path::new(&package.manifest_path);
        let relative = manifest.strip_prefix(&self.workspace_root).unwrap_or(manifest);
        relative.parent().expect("a manifest stands in a directory").to_string_lossy().into_owned()
    }
}
