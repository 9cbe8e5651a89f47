//! From the command line to a resolved plan: build list, places, configuration, secrets.

use crate::argv::Invocation;
use crate::config::{self, Layers};
use crate::exit::Refusal;
use crate::project::{self, Project};
use crate::trust::TrustFile;
use crate::{builds, dirs, keys, secrets};
use dispatch_contracts::kernel::Dirs;
use dispatch_contracts::plain::plain;
use dispatch_kernel::{BuildList, Catalog, Found, Plan, find_extensions, resolve};
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
}

impl Composed {
    /// Tells a person on standard error what was left out.
    pub(crate) fn tell_notes(&self) {
        if let Some(note) = self.project.note() {
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
    secrets::resolve(&mut composed.plan, &invocation.environment)?;
    Ok(composed)
}

/// The first half: which instances there are.
pub(crate) fn resolve_build(
    invocation: &Invocation,
    dirs: Dirs,
    other: Option<&str>,
) -> Result<Resolved, Refusal> {
    let wanted = other.or(invocation.options.build.as_deref());
    let build = builds::find(wanted, &dirs)?;
    let Found { catalog, rejected } = find_extensions(&places(invocation, &build, &dirs));
    let version = dispatch_kernel::kernel_version();
    let plan = resolve(&build, &catalog, &version).map_err(|problems| {
        let mut message = problems.to_string();
        for line in &rejected {
            message.push_str("\nnote: ");
            message.push_str(line);
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
    keys::check(&plan, &layers)?;
    Ok(Composed { dirs, catalog, rejected, plan, layers, project, trust })
}

/// Build paths, `--ext-dir`, `<exe dir>/extensions`, `<exe dir>`, the data directory.
fn places(invocation: &Invocation, build: &BuildList, dirs: &Dirs) -> Vec<PathBuf> {
    let named = build.entries.iter().filter_map(|entry| entry.path.as_ref().map(|path| path.value.clone()));
    let exe_dir = Path::new(&dirs.exe).parent().map(Path::to_owned);
    let beside = exe_dir.iter().flat_map(|dir| [dir.join("extensions"), dir.clone()]);
    named
        .chain(invocation.options.ext_dirs.iter().cloned())
        .chain(beside)
        .chain([Path::new(&dirs.data).join("extensions")])
        .collect()
}
