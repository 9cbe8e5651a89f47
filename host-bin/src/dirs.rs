//! Where things lie: `DISPATCH_HOME/{config,data,state,cache,run}`, else systemd's `*_DIRECTORY`, else XDG.

use crate::argv::Environment;
use crate::exit::Refusal;
use dispatch_contracts::kernel::Dirs;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

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
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|e| cannot(e.to_string()))?;
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
