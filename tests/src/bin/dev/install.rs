//! `cargo dist`: what was built, laid out as it is installed, below a prefix or in a tarball.
//!
//! All of it is made and tried in a directory of its own first; what fails leaves the prefix as it was. It must not know
//! what an extension does: the libraries are those of `extensions/`.

#[path = "install/lay.rs"]
mod lay;
#[path = "install/tarball.rs"]
mod tarball;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::build;

/// Where the unit of a tarball expects to be unpacked.
const TARBALL_PREFIX: &str = "/usr/local";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Absolute.
    prefix: Option<PathBuf>,
    tarball: Option<PathBuf>,
    /// Where it has been built; nothing = it is built in release.
    from: Option<PathBuf>,
}

/// Builds, lays out, and says where.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let Asked { prefix, tarball, from } = asked(args)?;
    let from = match from {
        Some(dir) => dir,
        None => released()?,
    };
    if let Some(prefix) = &prefix {
        let n = lay::into_prefix(&from, prefix)?;
        println!(
            "dev: {n} files laid below {}; the binary is {}",
            prefix.display(),
            lay::binary(prefix).display()
        );
    }
    if let Some(file) = &tarball {
        tarball::make(&from, file)?;
        println!("dev: {} holds `{}/`", file.display(), tarball::top());
    }
    Ok(ExitCode::SUCCESS)
}

fn released() -> Result<PathBuf, String> {
    println!("dev: build in release first (a cold build takes minutes)");
    let built = build::workspace(&["--release"])?;
    if !built.success() {
        return Err(format!("`cargo build --release` ended with {built}; its output says why"));
    }
    Ok(build::target_dir()?.join("release"))
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args.iter();
    while let Some(option) = args.next() {
        let place = match option.as_str() {
            "--prefix" => &mut asked.prefix,
            "--tarball" => &mut asked.tarball,
            "--from" => &mut asked.from,
            _ => return Err(format!("`cargo dist` does not know `{option}`; {}", crate::USAGE)),
        };
        let value = args.next().ok_or_else(|| format!("`{option}` needs a value"))?;
        let whole = std::path::absolute(value).map_err(|e| format!("`{option} {value}`: {e}"))?;
        if place.replace(whole).is_some() {
            return Err(format!("`{option}` is given twice"));
        }
    }
    if asked.prefix.is_none() && asked.tarball.is_none() {
        return Err("`cargo dist` needs `--prefix DIR`, `--tarball FILE` or both".to_owned());
    }
    asked.prefix.as_deref().map_or(Ok(()), plain_in_a_unit)?;
    Ok(asked)
}

/// A unit's command line gives these signs a meaning of their own.
fn plain_in_a_unit(prefix: &Path) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || "/-_.+@,".contains(c);
    match prefix.to_str() {
        Some(text) if text.chars().all(plain) => Ok(()),
        _ => Err(format!(
            "`--prefix {}` cannot stand in a systemd unit; choose one of letters, digits and `-_.+@,`",
            prefix.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Asked, String> {
        asked(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_place_is_asked_for_and_made_absolute() {
        let asked = read("--prefix /opt/d --tarball /tmp/d.tar.gz").unwrap();
        assert_eq!(asked.prefix.as_deref(), Some(Path::new("/opt/d")));
        assert!(read("--prefix here").unwrap().prefix.unwrap().is_absolute());
        for wrong in ["", "--from /x", "--prefix", "--prefix /a --prefix /b", "--prefix /a%b", "--fast"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
