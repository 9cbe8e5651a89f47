//! The built libraries of the extensions: one symbol outward, and the section that the loader reads first.
//!
//! It must not load them.

use std::fs;

use object::{Object, ObjectSection, ObjectSymbol};
use serde_json::Value;

use super::rule::Rule;
use super::tree::directories;

const SYMBOL: &str = "dispatch_extension";
const SECTION: &str = ".dispatch";

/// Answers what `look` finds wrong with the library of each extension.
fn each_library(look: impl Fn(&str, &object::File<'_>) -> Result<(), String>) -> Vec<String> {
    let mut broken = Vec::new();
    for id in directories("extensions") {
        let path = ::house::library(&id);
        let bytes =
            fs::read(&path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
        let looked = match object::File::parse(bytes.as_slice()) {
            Ok(library) => look(&id, &library),
            Err(error) => Err(format!("no ELF file: {error}")),
        };
        if let Err(found) = looked {
            broken.push(format!("{}: {found}", ::house::library_name(&id)));
        }
    }
    broken
}

#[test]
fn a_library_exports_exactly_one_symbol() {
    let broken = each_library(|_, library| {
        let exported =
            library.dynamic_symbols().filter(|symbol| symbol.is_definition() && symbol.is_global());
        let mut names: Vec<&str> = exported.filter_map(|symbol| symbol.name().ok()).collect();
        names.sort_unstable();
        if names == [SYMBOL] { Ok(()) } else { Err(format!("it exports `{}`", names.join("`, `"))) }
    });
    Rule {
        says: "an extension's library exports `dispatch_extension` and nothing else",
        mend: "call `dispatch_sdk::export!` once; a dependency with `#[no_mangle]` leaks a symbol: choose another",
    }
    .holds(&broken);
}

#[test]
fn a_library_carries_its_build_line_and_its_manifest() {
    let broken = each_library(|id, library| {
        let section = library.section_by_name(SECTION).ok_or("no section `.dispatch`")?;
        let bytes = section.data().map_err(|error| format!("cannot read its section: {error}"))?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("its section has no line")?;
        build_line(&bytes[..end])?;
        let path = ::house::workspace_dir().join("extensions").join(id).join("extension.toml");
        let manifest =
            fs::read(&path).map_err(|error| format!("cannot read its `extension.toml`: {error}"))?;
        if bytes[end + 1..] == manifest[..] {
            Ok(())
        } else {
            Err(format!("its manifest is not `extensions/{id}/extension.toml` as it is now"))
        }
    });
    Rule {
        says: "the section `.dispatch` is one JSON line `{abi, sdk, rustc, panic}` and `extension.toml`, byte for byte",
        mend: "build again with `cargo house`; if that does not help, look at `kernel/sdk/src/section.rs`",
    }
    .holds(&broken);
}

fn build_line(line: &[u8]) -> Result<(), String> {
    let line: Value =
        serde_json::from_slice(line).map_err(|error| format!("its build line is no JSON: {error}"))?;
    let object = line.as_object().ok_or_else(|| format!("its build line is `{line}`"))?;
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let texts = object.values().all(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    if keys == ["abi", "panic", "rustc", "sdk"] && texts && line["panic"] == "unwind" {
        Ok(())
    } else {
        Err(format!("its build line is `{line}`"))
    }
}

#[test]
fn a_build_line_is_complete_and_unwinds() {
    let good = br#"{"abi":"1","sdk":"0.1.0","rustc":"1.95.0","panic":"unwind"}   "#;
    assert_eq!(build_line(good), Ok(()));
    for bad in [
        &br#"{"abi":"1","sdk":"0.1.0","rustc":"1.95.0","panic":"abort"}"#[..],
        br#"{"abi":"1","sdk":"","rustc":"1.95.0","panic":"unwind"}"#,
        br#"{"abi":"1","rustc":"1.95.0","panic":"unwind"}"#,
        b"[]",
        b"",
    ] {
        assert!(build_line(bad).is_err(), "`{}` is refused", String::from_utf8_lossy(bad));
    }
}
