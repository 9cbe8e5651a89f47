//! What the host can say of itself: directories, disk, crashes, files of configuration, trust, the build.

use super::findings::check;
use crate::argv::Invocation;
use crate::compose::{Composed, configure, hide, resolve_build};
use crate::config_file::{FILE, believe, read_file};
use crate::exit::Refusal;
use crate::ext::unloadable;
use crate::project::Project;
use crate::trust::TrustFile;
use crate::{dirs, own_process};
use dispatch_contracts::instance::CheckStatus::{Fail, Ok as Fine, Warn};
use dispatch_contracts::instance::{CheckResult, CheckStatus};
use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::{Clock as _, SystemClock};
use rustix::fs::{Access, access, statvfs};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Free bytes below which somebody should look, and below which writing is about to fail.
const FREE_BYTES_WARN: u64 = 512 << 20;
const FREE_BYTES_FAIL: u64 = 32 << 20;
/// Crashes older than a day are history.
const CRASH_AGE_MS: u64 = 24 * 60 * 60 * 1000;
/// Most crash reports that are looked at.
const CRASHES_MAX: usize = 256;

/// Looks at everything, as far as it goes; the build comes along if it holds and can be run.
pub(super) fn look(invocation: &Invocation) -> (Vec<CheckResult>, Option<Composed>) {
    let dirs = match dirs::make(&invocation.environment) {
        Ok(dirs) => dirs,
        Err(refusal) => return (vec![refused("directories", &refusal)], None),
    };
    let mut checks = vec![memory()];
    checks.extend(named(&dirs).into_iter().map(|(name, dir)| directory(name, dir)));
    checks.extend(disks(&dirs));
    checks.push(crashes(Path::new(&dirs.state)));
    checks.push(trusted(&TrustFile::of(&dirs)));
    checks.push(user_file(&dirs));
    let composed = build(invocation, dirs, &mut checks);
    (checks, composed)
}

fn refused(name: &str, refusal: &Refusal) -> CheckResult {
    check(name, Fail, refusal.message.clone(), "")
}

fn memory() -> CheckResult {
    if own_process::is_open() {
        let summary = "other programs of this user may read this process' memory, keys and all";
        return check("memory", Warn, summary, "leave `--debuggable` out");
    }
    check("memory", Fine, "no other program of this user may read this process' memory", "")
}

fn named(dirs: &Dirs) -> [(&'static str, &Path); 5] {
    [
        ("dir_config", Path::new(&dirs.config)),
        ("dir_data", Path::new(&dirs.data)),
        ("dir_state", Path::new(&dirs.state)),
        ("dir_cache", Path::new(&dirs.cache)),
        ("dir_run", Path::new(&dirs.run)),
    ]
}

fn directory(name: &str, dir: &Path) -> CheckResult {
    let shown = dir.display();
    let meta = match fs::metadata(dir) {
        Ok(meta) => meta,
        Err(e) => {
            return check(name, Fail, format!("cannot look at {shown}: {e}"), "make it, or name another one");
        }
    };
    let mode = meta.mode() & 0o7777;
    let close = format!("chmod 700 {shown}");
    if !meta.is_dir() {
        return check(name, Fail, format!("{shown} is not a directory"), "move it away");
    }
    if mode & 0o022 != 0 {
        return check(name, Fail, format!("other users may write to {shown} (mode {mode:04o})"), close);
    }
    // A service's configuration is often not its own to write.
    if name != "dir_config" && access(dir, Access::WRITE_OK).is_err() {
        let way = "give it to the user that the host runs as, or name another one";
        return check(name, Fail, format!("{shown} cannot be written to"), way);
    }
    if mode & 0o055 != 0 {
        return check(name, Warn, format!("other users may look into {shown} (mode {mode:04o})"), close);
    }
    check(name, Fine, format!("{shown} (mode {mode:04o})"), "")
}

/// One check for each file system that anything is kept on.
fn disks(dirs: &Dirs) -> Vec<CheckResult> {
    let mut seen: Vec<u64> = Vec::new();
    let mut checks = Vec::new();
    for (name, dir) in named(dirs) {
        let Ok(device) = fs::metadata(dir).map(|meta| meta.dev()) else { continue };
        if name == "dir_config" || seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let name = name.replace("dir_", "disk_");
        checks.push(match statvfs(dir) {
            Ok(stat) => disk(&name, dir, stat.f_bavail.saturating_mul(stat.f_frsize)),
            Err(e) => check(&name, Warn, format!("cannot tell what is free at {}: {e}", dir.display()), ""),
        });
    }
    checks
}

fn disk(name: &str, dir: &Path, free_bytes: u64) -> CheckResult {
    let status = match free_bytes {
        0..FREE_BYTES_FAIL => Fail,
        FREE_BYTES_FAIL..FREE_BYTES_WARN => Warn,
        FREE_BYTES_WARN.. => Fine,
    };
    let recovery = if status == Fine { "" } else { "make room, or move the directory to another disk" };
    check(name, status, format!("{} MiB are free at {}", free_bytes >> 20, dir.display()), recovery)
}

/// Reports that crashed hosts left: `<state>/crashes/*.{txt,told}`, each begins with the instance's id.
fn crashes(state: &Path) -> CheckResult {
    let dir = state.join("crashes");
    let now_ms = SystemClock.now_ms();
    let mut lately: BTreeMap<String, usize> = BTreeMap::new();
    let reports = fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok);
    for report in reports.take(CRASHES_MAX) {
        let at = report.metadata().and_then(|meta| meta.modified()).ok();
        let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at_ms = at.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        let Ok(text) = fs::read_to_string(report.path()) else { continue };
        let Some(instance) = text.split_whitespace().next() else { continue };
        if at_ms.saturating_add(CRASH_AGE_MS) >= now_ms {
            *lately.entry(instance.to_owned()).or_default() += 1;
        }
    }
    if lately.is_empty() {
        return check("crashes", Fine, "no host crashed within the last day", "");
    }
    let named: Vec<String> =
        lately.iter().map(|(instance, times)| format!("`{instance}` {times} times")).collect();
    let summary = format!("hosts crashed within the last day, in {}", named.join(", "));
    let way = format!(
        "the reports are in {}; leave the instance out of the build until it is mended",
        dir.display()
    );
    check("crashes", Warn, summary, way)
}

fn trusted(trust: &TrustFile) -> CheckResult {
    match trust.trusted() {
        Ok(trusted) => {
            let dirs = trusted.dirs;
            let gone = dirs.iter().filter(|dir| !dir.is_dir()).count();
            let (n_dirs, path) = (dirs.len(), trust.path().display());
            let summary = format!("{n_dirs} directories are trusted, {gone} of them gone ({path})");
            check("trust", Fine, summary, "")
        }
        Err(reason) => check("trust", Fail, format!("{reason}; until then nothing is trusted"), ""),
    }
}

fn user_file(dirs: &Dirs) -> CheckResult {
    let path = Path::new(&dirs.config).join(FILE);
    match believe(&path).and_then(|()| read_file(&path)) {
        Ok(Some(file)) => {
            check("config_file", Fine, format!("{} sets {} keys", path.display(), file.values.len()), "")
        }
        Ok(None) => check("config_file", Fine, format!("there is none at {}", path.display()), ""),
        Err(refusal) => refused("config_file", &refusal),
    }
}

/// The build, its configuration and its secrets; what holds comes along.
fn build(invocation: &Invocation, dirs: Dirs, checks: &mut Vec<CheckResult>) -> Option<Composed> {
    let resolved = match resolve_build(invocation, dirs, None) {
        Ok(resolved) => resolved,
        Err(refusal) => {
            checks.push(refused("build", &refusal));
            return None;
        }
    };
    let summary = format!("{} instances of {}", resolved.plan.instances.len(), resolved.build.path.display());
    checks.push(check("build", Fine, summary, ""));
    for line in &resolved.rejected {
        checks.push(check("rejected", Warn, line.clone(), "rebuild it, or move it away"));
    }
    let mut composed = match configure(invocation, resolved) {
        Ok(composed) => composed,
        Err(refusal) => {
            checks.push(refused("configuration", &refusal));
            return None;
        }
    };
    checks.push(project(&composed.project));
    for stranger in &composed.layers.strangers {
        let (name, way) = match stranger.in_environment {
            false => ("config_table", "rename the table; one that is meant for another build may stay"),
            true => ("variable", "rename it, or unset it; one that is meant for another build may stay"),
        };
        checks.push(check(name, Warn, stranger.note(), way));
    }
    for line in &composed.unread {
        checks.push(check("variable", Warn, line.clone(), "rename it, or unset it"));
    }
    let put_in = composed.put_secrets_in(&invocation.environment);
    hide(invocation, &composed.secrets);
    if let Err(refusal) = put_in {
        checks.push(refused("configuration", &refusal));
        return None;
    }
    let summary = format!("{} keys are set", composed.layers.assignments.len());
    checks.push(check("configuration", Fine, summary, ""));
    for line in unloadable(&composed) {
        checks.push(check("library", Fail, line, ""));
    }
    Some(composed)
}

fn project(project: &Project) -> CheckResult {
    let (status, summary): (CheckStatus, String) = match (project, project.note()) {
        (_, Some(note)) => (Warn, note),
        (Project::Trusted { dir, .. }, None) => (Fine, format!("{} is trusted", dir.display())),
        (
            Project::None | Project::Untrusted { .. } | Project::Changed { .. } | Project::Elsewhere { .. },
            None,
        ) => (Fine, "the working directory is in none".to_owned()),
    };
    check("project", status, summary, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_directory_that_others_may_enter_is_named_with_the_mend() {
        let temp = tempfile::tempdir().unwrap();
        let of_mode = |mode| {
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
            directory("dir_data", temp.path())
        };
        assert_eq!(of_mode(0o700).status, Fine);
        assert_eq!(of_mode(0o755).status, Warn);
        let open = of_mode(0o777);
        assert_eq!((open.status, open.recovery), (Fail, format!("chmod 700 {}", temp.path().display())));
        assert_eq!(directory("dir_data", &temp.path().join("none")).status, Fail);
    }

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        let of_free = |bytes| disk("disk_data", Path::new("/d"), bytes).status;
        let at = [0, FREE_BYTES_FAIL - 1, FREE_BYTES_FAIL, FREE_BYTES_WARN - 1, FREE_BYTES_WARN];
        assert_eq!(at.map(of_free), [Fail, Fail, Warn, Warn, Fine]);
    }

    #[test]
    fn crashes_of_the_last_day_are_counted_by_instance_and_empty_reports_are_nothing() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(crashes(temp.path()).status, Fine);
        fs::create_dir(temp.path().join("crashes")).unwrap();
        fs::write(temp.path().join("crashes/alive.txt"), "").unwrap();
        assert_eq!(crashes(temp.path()).status, Fine);
        for name in ["a.txt", "b.told"] {
            fs::write(temp.path().join("crashes").join(name), "shaky signal 11 +0x1f\n").unwrap();
        }
        let found = crashes(temp.path());
        assert_eq!(found.status, Warn);
        assert!(found.summary.ends_with("in `shaky` 2 times"), "{}", found.summary);
    }
}
