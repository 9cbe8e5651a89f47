//! From the command line to a resolved plan: build list, places, configuration, secrets.

use crate::argv::{Environment, Invocation};
use crate::config::{self, Layers, Stranger};
use crate::exit::Refusal;
use crate::project::{self, Project};
use crate::trust::TrustFile;
use crate::{builds, dirs, known_keys, own_process, secrets};
use dispatch_compose::{BuildList, Catalog, Entry, Plan, resolve};
use dispatch_contracts::kernel::Dirs;
use dispatch_contracts::plain::plain;
use dispatch_kernel::{Found, find_extensions};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A build list that holds, before anybody configured it.
pub(crate) struct Resolved {
    pub(crate) dirs: Dirs,
    pub(crate) build: BuildList,
    pub(crate) catalog: Catalog,
    pub(crate) rejected: Vec<String>,
    pub(crate) plan: Plan,
}

/// A build that holds.
pub(crate) struct Composed {
    pub(crate) dirs: Dirs,
    pub(crate) catalog: Catalog,
    pub(crate) rejected: Vec<String>,
    pub(crate) plan: Plan,
    /// Who configured what.
    pub(crate) layers: Layers,
    /// What the working directory has to say, if it may.
    pub(crate) project: Project,
    pub(crate) trust: Arc<TrustFile>,
    /// Variables that the configuration names as secrets; empty until these are put in.
    pub(crate) secrets: BTreeSet<String>,
    /// Variables that look like the host's own and that nobody reads, a line each.
    pub(crate) unread: Vec<String>,
}

impl Composed {
    /// What was left out that a person may miss. A table of another build is nothing to miss, unless it looks like a
    /// slip; a variable is set for this run, so only one of an extension that is there may stay.
    pub(crate) fn notes(&self) -> Vec<String> {
        let is_slip = |stranger: &&Stranger| {
            (stranger.near.is_some() || stranger.in_environment)
                && self.catalog.candidates(&stranger.instance).is_empty()
        };
        let slips = self.layers.strangers.iter().filter(is_slip).map(Stranger::note);
        self.project.note().into_iter().chain(slips).chain(self.unread.iter().cloned()).collect()
    }

    /// Lets the host come up with whatever starts; for who asks single instances.
    pub(crate) fn require_nobody(&mut self) {
        for instance in &mut self.plan.instances {
            instance.required = false;
        }
    }

    /// Puts the secrets into the plan, and notes which variables hold any.
    pub(crate) fn put_secrets_in(&mut self, environment: &Environment) -> Result<(), Refusal> {
        self.secrets = self.layers.variables_named();
        secrets::resolve(&mut self.plan, environment)
    }

    /// Tells a person on standard error.
    pub(crate) fn tell_notes(&self) {
        for note in self.notes() {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "note: {}", plain(&note));
        }
    }
}

/// Resolves the build that the invocation names (or `other`), and merges the configuration into it.
pub(crate) fn compose(invocation: &Invocation, other: Option<&str>) -> Result<Composed, Refusal> {
    configure(invocation, resolve_build(invocation, dirs::make(&invocation.environment)?, other)?)
}

/// The same, with secrets put in: only for a plan that is about to run.
pub(crate) fn compose_to_run(invocation: &Invocation) -> Result<Composed, Refusal> {
    let mut composed = compose(invocation, None)?;
    composed.put_secrets_in(&invocation.environment)?;
    Ok(composed)
}

/// The same once, before the first thread: what was a secret is in this process' memory alone from then on.
pub(crate) fn compose_to_boot(invocation: &Invocation) -> Result<Composed, Refusal> {
    let composed = compose_to_run(invocation)?;
    hide(invocation, &composed.secrets);
    Ok(composed)
}

/// Takes `secrets`, and what the environment and the command line themselves say of credentials, out of where others
/// could read them.
pub(crate) fn hide(invocation: &Invocation, secrets: &BTreeSet<String>) {
    let mut variables = secrets.clone();
    variables.extend(config::secret_variables(&invocation.environment));
    own_process::forget(&variables, &config::secret_words(&invocation.options.set));
}

/// The first half: which instances there are.
pub(crate) fn resolve_build(
    invocation: &Invocation,
    dirs: Dirs,
    other: Option<&str>,
) -> Result<Resolved, Refusal> {
    let wanted = other.or(invocation.options.build.as_deref());
    let mut build = builds::find(wanted, &dirs)?;
    for library in &invocation.options.ext {
        build.take_over(entry_of(library)?);
    }
    let places = places(invocation, &build, &dirs);
    let Found { catalog, rejected, plain } = find_extensions(&places);
    let version = dispatch_kernel::kernel_version();
    let plan = resolve(&build, &catalog, &version).map_err(|problems| {
        let mut message = problems.to_string();
        let missing: Vec<&Entry> =
            build.entries.iter().filter(|entry| catalog.candidates(entry.extension()).is_empty()).collect();
        let plain = plain.iter().filter(|library| missing.iter().any(|entry| may_be(library, entry)));
        let sought = (!missing.is_empty()).then(|| sought(&places));
        for line in rejected.iter().cloned().chain(plain.map(|library| no_section(library))).chain(sought) {
            message.push_str("\nnote: ");
            message.push_str(&line);
        }
        Refusal::config(message)
    })?;
    Ok(Resolved { dirs, build, catalog, rejected, plan })
}

/// The second half: how they are configured, from here and now.
pub(crate) fn configure(invocation: &Invocation, resolved: Resolved) -> Result<Composed, Refusal> {
    let Resolved { dirs, build, catalog, rejected, mut plan } = resolved;
    let trust = Arc::new(TrustFile::of(&dirs));
    // Without a working directory there is no project.
    let project = std::env::current_dir().map_or(Project::None, |cwd| project::find(&cwd, &dirs, &*trust));
    let mut layers = Layers::of_build(&build);
    layers.add_all(&plan, invocation, &dirs, &project)?;
    config::apply(&mut plan, &layers);
    known_keys::check(&plan, &layers)?;
    let dirs = with_own_places(dirs, &plan);
    let unread = invocation.environment.strangers(&layers.variables_named());
    Ok(Composed { dirs, catalog, rejected, plan, layers, project, trust, secrets: BTreeSet::new(), unread })
}

/// A build list of one entry: the extension that a library holds.
fn entry_of(library: &Path) -> Result<BuildList, Refusal> {
    let cannot =
        |what: String| Refusal::config(format!("`--ext {}` adds nothing: {what}", library.display()));
    let whole = std::fs::canonicalize(library).map_err(|e| cannot(e.to_string()))?;
    if !whole.is_file() {
        return Err(cannot("it is no file; `--ext-dir` takes a directory".to_owned()));
    }
    let found = find_extensions(std::slice::from_ref(&whole));
    let id = found.catalog.ids().next().map(str::to_owned);
    let id =
        id.ok_or_else(|| cannot(found.rejected.first().cloned().unwrap_or_else(|| no_section(library))))?;
    let path = whole.to_str().ok_or_else(|| cannot("its path is not UTF-8".to_owned()))?;
    // A JSON text is a TOML text as well.
    let text = format!("[[extension]]\nid = {}\npath = {}\n", json!(id), json!(path));
    BuildList::parse(Path::new("--ext"), &text).map_err(|problems| cannot(problems.to_string()))
}

fn no_section(library: &Path) -> String {
    format!(
        "{} is a library, and no extension: it has no section that says what it is; `dispatch_sdk::export!` writes it",
        library.display()
    )
}

/// Whether a library without a section may be the one that an entry means: it is named by it, or bears its name.
fn may_be(library: &Path, entry: &Entry) -> bool {
    let id = entry.extension().value.as_str();
    let named = entry.path.as_ref().is_some_and(|path| library.starts_with(&path.value));
    let stem = library.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let stem = stem.strip_prefix("lib").unwrap_or(stem).replace('_', "-");
    let directory = library.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    named || stem == id || stem.strip_prefix("ext-") == Some(id) || directory == Some(id)
}

/// Where was looked, in order.
fn sought(places: &[PathBuf]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for place in places {
        let place = match place.exists() {
            true => place.display().to_string(),
            false => format!("{} (not there)", place.display()),
        };
        if !shown.contains(&place) {
            shown.push(place);
        }
    }
    format!(
        "extensions were sought in {}; `--ext-dir DIR` adds a directory, `path` in the build a library",
        shown.join(", ")
    )
}

/// What no tool may reach, or change, beside the host's directories: what instances keep elsewhere, and what runs here.
fn with_own_places(dirs: Dirs, plan: &Plan) -> Dirs {
    let kept = plan.instances.iter().flat_map(|instance| instance.kept_paths());
    let kept = kept.filter(|path| Path::new(path).is_absolute()).map(str::to_owned).collect();
    let exe = Path::new(&dirs.exe);
    let around =
        exe.parent().into_iter().flat_map(|dir| [dir.join("extensions"), dir.join("../lib/dispatch")]);
    let libraries = plan.instances.iter().map(|instance| instance.library.clone());
    let code = [exe.to_owned()].into_iter().chain(around).chain(libraries);
    let code =
        code.filter(|path| path.is_absolute()).map(|path| path.to_string_lossy().into_owned()).collect();
    Dirs { kept, code, ..dirs }
}

/// Build paths, `--ext-dir`, `<exe dir>/extensions`, `<exe dir>`, `<exe dir>/../lib/dispatch`, the data directory.
fn places(invocation: &Invocation, build: &BuildList, dirs: &Dirs) -> Vec<PathBuf> {
    let named = build.entries.iter().filter_map(|entry| entry.path.as_ref().map(|path| path.value.clone()));
    named
        .chain(invocation.options.ext_dirs.iter().cloned())
        .chain(beside(Path::new(&dirs.exe)))
        .chain([Path::new(&dirs.data).join("extensions")])
        .collect()
}

/// Where an executable brings its libraries along: beside itself, or in the `lib` of the prefix it is installed in.
fn beside(exe: &Path) -> impl Iterator<Item = PathBuf> {
    let dir = exe.parent();
    let prefix = dir.and_then(Path::parent);
    let beside = dir.into_iter().flat_map(|dir| [dir.join("extensions"), dir.to_owned()]);
    beside.chain(prefix.map(|prefix| prefix.join("lib/dispatch")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_binary_looks_in_the_lib_of_its_prefix() {
        let places: Vec<PathBuf> = beside(Path::new("/opt/d/bin/dispatch")).collect();
        assert_eq!(places, ["/opt/d/bin/extensions", "/opt/d/bin", "/opt/d/lib/dispatch"].map(PathBuf::from));
        assert_eq!(beside(Path::new("")).count(), 0, "where nobody can tell what runs");
    }
}
