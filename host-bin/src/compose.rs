//! From the command line to a resolved plan: build list, places, configuration, secrets.

use crate::argv::Invocation;
use crate::config::{self, Layers, Stranger};
use crate::exit::Refusal;
use crate::project::{self, Project};
use crate::trust::TrustFile;
use crate::{builds, dirs, keys, own_process, secrets};
use dispatch_contracts::kernel::Dirs;
use dispatch_contracts::plain::plain;
use dispatch_kernel::{BuildList, Catalog, Found, Plan, find_extensions, resolve};
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
}

impl Composed {
    /// What was left out that a person may miss. A table of another build is nothing to miss, unless it looks like a
    /// slip.
    pub(crate) fn notes(&self) -> Vec<String> {
        let is_slip = |stranger: &&Stranger| {
            stranger.near.is_some() && self.catalog.candidates(&stranger.instance).is_empty()
        };
        let slips = self.layers.strangers.iter().filter(is_slip).map(Stranger::note);
        self.project.note().into_iter().chain(slips).collect()
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
    composed.secrets = secrets::resolve(&mut composed.plan, &invocation.environment)?;
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
    Ok(Composed { dirs, catalog, rejected, plan, layers, project, trust, secrets: BTreeSet::new() })
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
