//! One instance by itself: its extension, version, kernel, placement and grants.
//!
//! It must not look at any other instance.

use std::path::PathBuf;

use dispatch_contracts::kernel::{HOST_INSTANCE, KERNEL_INSTANCE};
use semver::Version;
use serde_json::Value;

use crate::build_list::Entry;
use crate::catalog::{Catalog, KnownExtension};
use crate::document::quoted;
use crate::manifest::{Capability, Contributes, Manifest, Placement};
use crate::nearest::nearest;
use crate::plan::{PlannedInstance, misfits};
use crate::problem::Problems;

/// The placement this kernel can run.
const SUPPORTED: Placement = Placement::InProcess;
const WORKERS: u32 = 1;
/// Ids that callees trust: nobody else may be called so.
const RESERVED: [&str; 2] = [KERNEL_INSTANCE, HOST_INSTANCE];

/// An entry of the build whose extension was found.
pub(super) struct Choice<'a> {
    pub(super) entry: &'a Entry,
    known: &'a KnownExtension,
    pub(super) contributes: Contributes,
    grants: Vec<Capability>,
}

impl<'a> Choice<'a> {
    pub(super) fn of(
        entry: &'a Entry,
        catalog: &'a Catalog,
        kernel_version: &Version,
        problems: &mut Problems,
    ) -> Option<Self> {
        if RESERVED.contains(&entry.id.as_str()) {
            let problem =
                entry.id.place.problem(format!("`{}` cannot be the id of an instance", entry.id.value));
            problems.0.push(
                problem.help("callees know the kernel and the host binary by these ids; choose another"),
            );
            return None;
        }
        let known = chosen(entry, catalog, problems)?;
        let manifest = &known.manifest;
        check_versions(entry, manifest, kernel_version, problems);
        check_placement(entry, manifest, problems);
        check_config(entry, known, problems);
        let contributes = manifest.contributes.expanded(&entry.id);
        Some(Self { entry, known, contributes, grants: grants(entry, manifest, problems) })
    }

    pub(super) fn id(&self) -> &'a str {
        &self.entry.id
    }

    pub(super) fn manifest(&self) -> &'a Manifest {
        &self.known.manifest
    }

    pub(super) fn planned(
        &self,
        dependencies: Vec<String>,
        optional_dependencies: Vec<String>,
    ) -> PlannedInstance {
        PlannedInstance {
            id: self.entry.id.value.clone(),
            from: self.known.manifest.id.clone(),
            manifest: self.known.manifest.clone(),
            library: self.known.library.clone(),
            placement: placement(self.entry),
            config: Value::Object(self.entry.config.clone()),
            settings: self.known.settings.clone(),
            grants: self.grants.clone(),
            required: self.entry.required.unwrap_or(false),
            workers: self.entry.workers.unwrap_or(WORKERS),
            dependencies,
            optional_dependencies,
            contributes: self.contributes.clone(),
        }
    }
}

fn placement(entry: &Entry) -> Placement {
    entry.placement.as_ref().map_or(SUPPORTED, |placement| placement.value)
}

/// Finds the one file the entry means.
fn chosen<'a>(entry: &Entry, catalog: &'a Catalog, problems: &mut Problems) -> Option<&'a KnownExtension> {
    let wanted = entry.extension();
    let (candidates, found_at) = match &entry.path {
        None => (catalog.candidates(wanted).iter().collect::<Vec<_>>(), String::new()),
        Some(path) => (catalog.candidates_at(wanted, path), format!(" at `{}`", path.display())),
    };
    let problem = match candidates.as_slice() {
        [known] => return Some(known),
        [] => {
            let place = entry.path.as_ref().map_or(&wanted.place, |path| &path.place);
            let problem = place.problem(format!("no extension `{}` was found{found_at}", wanted.value));
            let elsewhere: Vec<&PathBuf> =
                catalog.candidates(wanted).iter().map(|known| &known.library).collect();
            match (elsewhere.first(), nearest(wanted, catalog.ids())) {
                (Some(library), _) => problem.help(format!("there is one at `{}`", library.display())),
                (None, Some(near)) => problem.help(format!("did you mean `{near}`?")),
                (None, None) => problem.help("put its library into a directory where extensions are sought"),
            }
        }
        several => {
            let files =
                quoted(&several.iter().map(|known| known.library.display().to_string()).collect::<Vec<_>>());
            let message = format!("several files hold the extension `{}`: {files}", wanted.value);
            let problem = wanted.place.problem(message);
            problem.help("remove all but one, or name the one you mean with `path`")
        }
    };
    problems.0.push(problem);
    None
}

fn check_versions(entry: &Entry, manifest: &Manifest, kernel_version: &Version, problems: &mut Problems) {
    if let Some(wanted) = entry.version.as_ref().filter(|wanted| !wanted.matches(&manifest.version)) {
        let Manifest { id, version, .. } = manifest;
        let message = format!("`{id}` is there in version {version}, the build wants `{}`", wanted.value);
        problems.0.push(wanted.place.problem(message));
    }
    if let Some(least) = manifest.kernel_min.as_ref().filter(|least| *least > kernel_version) {
        let id = &manifest.id;
        let message = format!("`{id}` needs a kernel of at least {least}, this one is {kernel_version}");
        let problem = entry.extension().place.problem(message);
        problems.0.push(problem.help("update this host, or take an older version of the extension"));
    }
}

fn check_placement(entry: &Entry, manifest: &Manifest, problems: &mut Problems) {
    let wanted = placement(entry);
    let place = entry.placement.as_ref().map_or(&entry.id.place, |placement| &placement.place);
    let id = &manifest.id;
    if !manifest.placements.contains(&wanted) {
        let can = quoted(&manifest.placements.iter().map(|placement| placement.name()).collect::<Vec<_>>());
        problems.0.push(place.problem(format!("`{id}` cannot run `{wanted}`, its manifest lists {can}")));
    }
    if wanted != SUPPORTED {
        let problem = place.problem(format!("this kernel cannot run `{id}` with placement `{wanted}`"));
        problems.0.push(problem.help(format!("the supported placement is `{SUPPORTED}`")));
    }
}

/// Holds what the build configures against what the extension tells of its settings.
fn check_config(entry: &Entry, known: &KnownExtension, problems: &mut Problems) {
    let config = Value::Object(entry.config.clone());
    for misfit in misfits(known.settings.as_deref(), &config) {
        // The key itself, else the table that it stands in.
        let place = (0..=misfit.path.len()).rev().find_map(|n| entry.config_places.get(&misfit.path[..n]));
        let problem =
            place.unwrap_or(&entry.id.place).problem(format!("`{}`: {}", entry.id.value, misfit.message));
        problems.0.push(match misfit.help.as_str() {
            "" => problem,
            help => problem.help(help),
        });
    }
}

/// What the instance holds: all that the manifest lists, or what the build grants of it.
fn grants(entry: &Entry, manifest: &Manifest, problems: &mut Problems) -> Vec<Capability> {
    let Some(granted) = &entry.grant else {
        return manifest.capabilities.clone();
    };
    for capability in granted {
        if manifest.capabilities.iter().any(|listed| listed.covers(capability)) {
            continue;
        }
        let message = format!("`{}` does not ask for the capability `{}`", manifest.id, capability.value);
        let problem = capability.place.problem(message);
        problems.0.push(if manifest.capabilities.is_empty() {
            problem.help("its manifest lists none")
        } else {
            problem.help(format!("its manifest lists {}", quoted(&manifest.capabilities)))
        });
    }
    granted.iter().map(|capability| capability.value.clone()).collect()
}
