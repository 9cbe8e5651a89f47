//! The project around the working directory: the nearest `.dispatch` directory, and whether it may be read.
//!
//! It must not use a byte of a project that nobody trusts as it is: it asks by name, and by what it has read.

use crate::config_file::FILE;
use crate::project_files::{self, DIR};
use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::{Trust, sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Most directories above the working directory that are looked at.
const DEPTH_MAX: usize = 64;

/// What the working directory's project is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Project {
    /// There is none.
    None,
    /// Its configuration counts, if it has any.
    Trusted { dir: PathBuf, settings: Option<TrustedSettings> },
    /// It has a configuration that counts for nothing.
    Untrusted { dir: PathBuf, file: PathBuf },
    /// It is trusted, but its configuration is another one than it was then, or a new one.
    Changed { dir: PathBuf, file: PathBuf },
    /// It is trusted, but its configuration lies elsewhere.
    Elsewhere { file: PathBuf, target: PathBuf },
}

/// A project's configuration, as somebody trusted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedSettings {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Project {
    /// One line about what was left out and what to do.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::None | Self::Trusted { .. } => None,
            Self::Untrusted { dir, file } => Some(format!(
                "{} is not read, because {} is not trusted; look at it, then `dispatch trust {}`",
                file.display(),
                dir.display(),
                dir.display()
            )),
            Self::Changed { dir, file } => Some(format!(
                "{} is not read: it is not as it was when {} was trusted; look at it, then `dispatch trust {}`",
                file.display(),
                dir.display(),
                dir.display()
            )),
            Self::Elsewhere { file, target } => Some(format!(
                "{} is not read: it leads to {}, outside of what is trusted; put the file itself there",
                file.display(),
                target.display()
            )),
        }
    }
}

/// Finds the project of `cwd`: links are followed before anybody is asked.
pub(crate) fn find(cwd: &Path, dirs: &Dirs, trust: &impl Trust) -> Project {
    let Ok(cwd) = fs::canonicalize(cwd) else { return Project::None };
    let own = fs::canonicalize(&dirs.config).ok();
    let is_own = |marker: &Path| own.as_deref().is_some_and(|own| own.starts_with(marker));
    let mut places = cwd.ancestors().take(DEPTH_MAX).map(|dir| (dir, dir.join(DIR)));
    // A home of the host itself that happens to bear the name is no project.
    let Some((dir, marker)) = places.find(|(_, marker)| marker.is_dir() && !is_own(marker)) else {
        return Project::None;
    };
    let (dir, file) = (dir.to_owned(), marker.join(FILE));
    let is_there = fs::symlink_metadata(&file).is_ok();
    if !trust.trusts(&dir) {
        return if is_there { Project::Untrusted { dir, file } } else { Project::None };
    }
    if !is_there {
        return Project::Trusted { dir, settings: None };
    }
    match fs::canonicalize(&file) {
        Ok(path) if path.starts_with(&dir) => match project_files::read(&path) {
            Ok(bytes) if trust.trusts_file(&path, &sha256(&bytes)) => {
                Project::Trusted { dir, settings: Some(TrustedSettings { path, bytes }) }
            }
            _ => Project::Changed { dir, file },
        },
        Ok(target) => Project::Elsewhere { file, target },
        Err(_) => Project::Elsewhere { target: file.clone(), file },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// Trusts one directory and what lies in it.
    struct Only(PathBuf);

    impl Trust for Only {
        fn trusts(&self, dir: &Path) -> bool {
            fs::canonicalize(dir).is_ok_and(|dir| dir.starts_with(&self.0))
        }

        fn trusts_file(&self, file: &Path, sha256: &str) -> bool {
            self.trusts(file.parent().unwrap()) && sha256 == dispatch_kernel::sha256(b"")
        }
    }

    struct Place {
        _temp: TempDir,
        root: PathBuf,
        dirs: Dirs,
    }

    fn place() -> Place {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        for dir in ["home/config", "p/.dispatch", "p/src/deep", "elsewhere"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let config = root.join("home/config").to_str().unwrap().to_owned();
        Place { _temp: temp, root, dirs: Dirs { config, ..Dirs::default() } }
    }

    #[test]
    fn the_nearest_marked_directory_above_is_the_project() {
        let Place { root, dirs, _temp } = place();
        fs::write(root.join("p/.dispatch/config.toml"), "").unwrap();
        let (dir, file) = (root.join("p"), root.join("p/.dispatch/config.toml"));
        let found = find(&root.join("p/src/deep"), &dirs, &Only(root.join("elsewhere")));
        assert_eq!(found, Project::Untrusted { dir: dir.clone(), file: file.clone() });
        let note = found.note().unwrap();
        assert!(note.contains("is not trusted") && note.contains("`dispatch trust "), "{note}");
        let found = find(&root.join("p/src/deep"), &dirs, &Only(root.join("p")));
        let settings = TrustedSettings { path: file.clone(), bytes: Vec::new() };
        assert_eq!(found, Project::Trusted { dir: dir.clone(), settings: Some(settings) });
        fs::write(&file, "[toy]\n").unwrap();
        let found = find(&root.join("p/src/deep"), &dirs, &Only(root.join("p")));
        assert_eq!(found, Project::Changed { dir, file });
        let note = found.note().unwrap();
        assert!(note.contains("not as it was") && note.contains("`dispatch trust "), "{note}");
        assert_eq!(find(&root.join("elsewhere"), &dirs, &Only(root.clone())), Project::None);
    }

    #[test]
    fn a_marker_without_a_configuration_is_nothing_to_speak_of() {
        let Place { root, dirs, _temp } = place();
        assert_eq!(find(&root.join("p"), &dirs, &Only(root.join("elsewhere"))), Project::None);
    }

    #[test]
    fn a_trusted_project_does_not_lend_its_trust_to_what_it_links_to() {
        let Place { root, dirs, _temp } = place();
        fs::write(root.join("elsewhere/config.toml"), "").unwrap();
        let file = root.join("p/.dispatch/config.toml");
        symlink(root.join("elsewhere/config.toml"), &file).unwrap();
        let target = root.join("elsewhere/config.toml");
        let found = find(&root.join("p"), &dirs, &Only(root.join("p")));
        assert_eq!(found, Project::Elsewhere { file: file.clone(), target });
        fs::remove_file(root.join("elsewhere/config.toml")).unwrap();
        let found = find(&root.join("p"), &dirs, &Only(root.join("p")));
        assert_eq!(found, Project::Elsewhere { file: file.clone(), target: file });
    }

    #[test]
    fn a_link_into_a_trusted_project_is_that_project() {
        let Place { root, dirs, _temp } = place();
        fs::write(root.join("p/.dispatch/config.toml"), "").unwrap();
        symlink(root.join("p/src"), root.join("elsewhere/src")).unwrap();
        let found = find(&root.join("elsewhere/src"), &dirs, &Only(root.join("p")));
        assert!(matches!(found, Project::Trusted { .. }), "{found:?}");
    }

    #[test]
    fn the_hosts_own_home_is_no_project() {
        let Place { root, mut dirs, _temp } = place();
        fs::create_dir_all(root.join("p/.dispatch/config")).unwrap();
        fs::write(root.join("p/.dispatch/config.toml"), "").unwrap();
        dirs.config = root.join("p/.dispatch/config").to_str().unwrap().to_owned();
        assert_eq!(find(&root.join("p"), &dirs, &Only(root.clone())), Project::None);
    }
}
