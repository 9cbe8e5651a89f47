//! From the command line to a resolved plan: build list, places, configuration, secrets.

use crate::argv::Invocation;
use crate::exit::Refusal;
use crate::{builds, config, dirs, secrets};
use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::{BuildList, Catalog, Found, Plan, find_extensions, resolve};
use std::path::{Path, PathBuf};

/// A build that holds.
pub(crate) struct Composed {
    pub(crate) dirs: Dirs,
    pub(crate) catalog: Catalog,
    pub(crate) rejected: Vec<String>,
    pub(crate) plan: Plan,
}

/// Resolves the build that the invocation names (or `other`), and merges the configuration into it.
pub(crate) fn compose(invocation: &Invocation, other: Option<&str>) -> Result<Composed, Refusal> {
    let dirs = dirs::make(&invocation.environment)?;
    let wanted = other.or(invocation.options.build.as_deref());
    let build = builds::find(wanted, &dirs)?;
    let Found { catalog, rejected } = find_extensions(&places(invocation, &build, &dirs));
    let version = dispatch_kernel::kernel_version();
    let mut plan = resolve(&build, &catalog, &version).map_err(|problems| {
        let mut message = problems.to_string();
        for line in &rejected {
            message.push_str("\nnote: ");
            message.push_str(line);
        }
        Refusal::config(message)
    })?;
    config::merge(&mut plan, &invocation.options.set, &invocation.environment, &dirs)?;
    Ok(Composed { dirs, catalog, rejected, plan })
}

/// The same, with secrets put in: only for a plan that is about to run.
pub(crate) fn compose_to_run(invocation: &Invocation) -> Result<Composed, Refusal> {
    let mut composed = compose(invocation, None)?;
    secrets::resolve(&mut composed.plan, &invocation.environment)?;
    Ok(composed)
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
