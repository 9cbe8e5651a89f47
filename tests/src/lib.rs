//! Where the tests of this package find what `cargo house` has built: the `dispatch` binary and the extensions' libraries.
//!
//! It must not know what any of them does. `cargo test` alone builds no library that is a `cdylib` only, so the tests
//! need `cargo house`, which builds the workspace first and names the directory in [`BIN_DIR_VARIABLE`].

pub mod bench;
mod cargo;
mod mutant;

pub use cargo::{cargo, metadata};
pub use mutant::{MUTANTS_DIR, Mutant, RedTest, mutants};

use std::path::{Path, PathBuf};

/// The environment variable that names the directory of the built `dispatch` and `libext_*.so`.
pub const BIN_DIR_VARIABLE: &str = "DISPATCH_TEST_BIN_DIR";

/// Where below cargo's target directory the ABI fixtures stand, built from `tests/abi-fixtures/`.
pub const ABI_FIXTURES_DIR: &str = "abi-fixtures";

/// Answers the root of the workspace, absolute.
pub fn workspace_dir() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in a directory of the workspace").to_owned()
}

/// Answers the directory that holds the built `dispatch` and the extensions' libraries.
///
/// Panics naming `cargo house` if nobody says where that is.
#[expect(clippy::disallowed_methods, reason = "the one thing that `cargo house` tells its tests")]
pub fn bin_dir() -> PathBuf {
    let Some(named) = std::env::var_os(BIN_DIR_VARIABLE) else {
        panic!(
            "cannot find the built binaries: `{BIN_DIR_VARIABLE}` is not set; run `cargo house`, which builds \
             the workspace and sets it (one test: `cargo house a_name`)"
        );
    };
    let dir = PathBuf::from(named);
    assert!(
        dir.is_dir(),
        "cannot find the built binaries: `{BIN_DIR_VARIABLE}` names `{}`, which is no directory; run `cargo house`",
        dir.display()
    );
    dir
}

/// Answers the path of the built `dispatch` binary.
///
/// Panics naming `cargo house` if it is not there.
pub fn dispatch_binary() -> PathBuf {
    built(&bin_dir(), &format!("dispatch{}", std::env::consts::EXE_SUFFIX))
}

/// Answers the path of an extension's built library; `id` is its manifest id, such as `storage-sqlite`.
///
/// Panics naming `cargo house` if it is not there.
pub fn library(id: &str) -> PathBuf {
    built(&bin_dir(), &library_name(id))
}

/// Answers the path of what was built of an ABI fixture: `newer-minor.so`, or `newer-minor.host`.
///
/// Panics naming `cargo house` if it is not there.
pub fn abi_fixture(file: &str) -> PathBuf {
    let bin_dir = bin_dir();
    let target = bin_dir.parent().expect("`bin_dir` is `<target>/debug`");
    built(&target.join(ABI_FIXTURES_DIR), file)
}

/// Answers the file name of an extension's library: `libext_storage_sqlite.so` for `storage-sqlite`.
pub fn library_name(id: &str) -> String {
    format!("libext_{}.so", id.replace('-', "_"))
}

fn built(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    assert!(
        path.is_file(),
        "cannot find `{}`: it has not been built; run `cargo house`, which builds the workspace before it tests",
        path.display()
    );
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_named_after_its_crate() {
        assert_eq!(library_name("storage-sqlite"), "libext_storage_sqlite.so");
    }

    #[test]
    fn the_workspace_is_found_without_anybody_saying_where() {
        assert!(workspace_dir().join("clippy.toml").is_file());
    }

    #[test]
    #[should_panic(expected = "run `cargo house`")]
    fn what_is_not_built_is_refused_with_the_way_to_build_it() {
        built(&workspace_dir(), "libext_nobody_has_this.so");
    }
}
