//! Where things lie: `DISPATCH_HOME/{config,data,state,cache,run}`, else systemd's `*_DIRECTORY`, else XDG.

use crate::argv::Environment;
use crate::exit::{Refusal, TRY_AGAIN};
use dispatch_contracts::kernel::Dirs;
use rustix::io::Errno;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What must fit for a directory to count as one that takes something: the copy of a library, a store's log and its index.
const PROBE_BYTES: usize = 4 * 1024 * 1024;

/// Chooses and makes the directories, mode 0700.
pub(crate) fn make(environment: &Environment) -> Result<Dirs, Refusal> {
    let [config, data, state, cache, run] = choose(environment)?;
    let made = |dir: PathBuf| -> Result<String, Refusal> {
        let cannot = |what: String| {
            Refusal::config(format!(
                "cannot make the directory {}: {what}; set DISPATCH_HOME to one that can be written",
                dir.display()
            ))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| match is_full(&e) {
            true => Refusal { code: TRY_AGAIN, ..cannot(format!("{e}: make room on that disk")) },
            false => cannot(e.to_string()),
        })?;
        dir.to_str().map(str::to_owned).ok_or_else(|| cannot("its path is not UTF-8".to_owned()))
    };
    let exe =
        std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_default();
    Ok(Dirs {
        config: made(config)?,
        data: made(data)?,
        state: made(state)?,
        cache: made(cache)?,
        run: made(run)?,
        exe,
        ..Dirs::default()
    })
}

/// Which home was used, for a person who may have meant another one.
pub(crate) fn shown(environment: &Environment, dirs: &Dirs) -> String {
    match environment.get("DISPATCH_HOME") {
        Some(home) => format!("DISPATCH_HOME is {home}"),
        None => format!("DISPATCH_HOME is not set, so the data lies in {}", dirs.data),
    }
}

/// Why nothing came up of what `failed` tells, if it is that a directory of the host takes nothing: then also what to do.
pub(crate) fn refusal(dirs: &Dirs, failed: String) -> Refusal {
    let kept = [&dirs.data, &dirs.state, &dirs.cache, &dirs.run];
    let found = kept.into_iter().find_map(|dir| Some((dir, probe(Path::new(dir)).err()?)));
    let Some((dir, error)) = found else {
        // What filled the disk may be gone by now: half a copy, for one.
        let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| format!("(os error {})", errno.raw_os_error()));
        return match full.iter().any(|text| failed.contains(text)) {
            true => Refusal {
                code: TRY_AGAIN,
                message: format!("the disk is full, make room and try again: {failed}"),
            },
            false => Refusal::config(failed),
        };
    };
    match is_full(&error) {
        true => {
            let message =
                format!("the disk that holds {dir} is full, make room there and try again: {failed}");
            Refusal { code: TRY_AGAIN, message }
        }
        false => Refusal::config(format!(
            "{dir} cannot be written ({error}), make it writable or set DISPATCH_HOME to another place: {failed}"
        )),
    }
}

/// Tries whether a file can be made in `dir`, and grow.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".dispatch-probe-{}", std::process::id()));
    // One of a process of this number that was killed.
    let _ = std::fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = file.write_all(&vec![0; PROBE_BYTES]).and_then(|()| file.sync_all());
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Config, data, state, cache, run.
fn choose(environment: &Environment) -> Result<[PathBuf; 5], Refusal> {
    if let Some(home) = environment.get("DISPATCH_HOME") {
        let home = absolute("DISPATCH_HOME", home)?;
        return Ok(["config", "data", "state", "cache", "run"].map(|name| home.join(name)));
    }
    let user = environment.get("HOME").map(PathBuf::from);
    let one = |systemd: &str, xdg: &str, fallback: &str| -> Result<PathBuf, Refusal> {
        // systemd gives a colon-separated list; the first is ours.
        if let Some(dirs) = environment.get(systemd) {
            return absolute(systemd, dirs.split(':').next().unwrap_or(dirs));
        }
        if let Some(dir) = environment.get(xdg) {
            return Ok(absolute(xdg, dir)?.join("dispatch"));
        }
        let home = user.as_ref().ok_or_else(|| {
            Refusal::config(format!("cannot tell where to keep things: set DISPATCH_HOME, {xdg} or HOME"))
        })?;
        Ok(home.join(fallback).join("dispatch"))
    };
    let state = one("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")?;
    Ok([
        one("CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME", ".config")?,
        // systemd has no directory for data: a service keeps them with its state.
        match environment.get("STATE_DIRECTORY") {
            Some(_) => state.clone(),
            None => one("STATE_DIRECTORY", "XDG_DATA_HOME", ".local/share")?,
        },
        state.clone(),
        one("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache")?,
        match (environment.get("RUNTIME_DIRECTORY"), environment.get("XDG_RUNTIME_DIR")) {
            (None, None) => state.join("run"),
            _ => one("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", ".local/state")?,
        },
    ])
}

fn absolute(name: &str, dir: &str) -> Result<PathBuf, Refusal> {
    if Path::new(dir).is_absolute() {
        return Ok(PathBuf::from(dir));
    }
    Err(Refusal::config(format!("{name} is `{dir}`, which is not an absolute path")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::CONFIG;

    #[test]
    fn a_directory_that_takes_nothing_is_named_with_what_to_do_and_else_the_failure_stands_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        let dirs =
            Dirs { data: dir("d"), state: dir("s"), cache: dir("c"), run: dir("r"), ..Dirs::default() };
        for name in ["d", "s", "c", "r"] {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        assert_eq!(refusal(&dirs, "it failed".to_owned()).message, "it failed");
        assert_eq!(std::fs::read_dir(&dirs.data).unwrap().count(), 0, "nothing of the probe stays");
        std::fs::remove_dir(&dirs.state).unwrap();
        let refused = refusal(&dirs, "it failed".to_owned());
        assert_eq!(refused.code, CONFIG);
        for part in [dirs.state.as_str(), "make it writable or set DISPATCH_HOME", ": it failed"] {
            assert!(refused.message.contains(part), "{part}: {}", refused.message);
        }
    }

    fn chosen(variables: &[(&str, &str)]) -> Vec<String> {
        let dirs = choose(&Environment::of(variables)).unwrap();
        dirs.iter().map(|dir| dir.display().to_string()).collect()
    }

    #[test]
    fn one_variable_moves_everything() {
        let all = ["/d/config", "/d/data", "/d/state", "/d/cache", "/d/run"];
        assert_eq!(chosen(&[("DISPATCH_HOME", "/d"), ("HOME", "/h"), ("STATE_DIRECTORY", "/s")]), all);
    }

    #[test]
    fn systemd_comes_before_xdg_and_xdg_before_home() {
        let variables = [("HOME", "/h"), ("STATE_DIRECTORY", "/var/lib/x"), ("XDG_CACHE_HOME", "/c")];
        let expected = ["/h/.config/dispatch", "/var/lib/x", "/var/lib/x", "/c/dispatch", "/var/lib/x/run"];
        assert_eq!(chosen(&variables), expected);
    }

    #[test]
    fn a_relative_directory_is_refused() {
        let refusal = choose(&Environment::of(&[("DISPATCH_HOME", "here")])).unwrap_err();
        assert_eq!(refusal.message, "DISPATCH_HOME is `here`, which is not an absolute path");
    }
}
