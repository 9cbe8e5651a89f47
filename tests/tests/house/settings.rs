//! What every extension says of its configuration: the file beside its code, the section of its library, the reference.
//!
//! It must not know what a key does.

use std::fs;

use dispatch_compose::{Settings, SettingsKey};
use object::{Object, ObjectSection};

use super::rule::Rule;
use super::tree::directories;

const SECTION: &str = ".dispatch_settings";
/// The reference, which `UPDATE=1` writes.
const REFERENCE: &str = "manifests/settings.md";

fn file_of(id: &str) -> Result<Vec<u8>, String> {
    let path = format!("extensions/{id}/src/settings.json");
    fs::read(::house::workspace_dir().join(&path)).map_err(|error| format!("{path}: {error}"))
}

#[test]
fn a_library_carries_the_settings_that_stand_beside_its_code() {
    let held = |id: &String| -> Result<(), String> {
        let file = file_of(id)?;
        let path = ::house::library(id);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let library = object::File::parse(bytes.as_slice()).map_err(|error| format!("{id}: {error}"))?;
        let section = library.section_by_name(SECTION).ok_or(format!("{id}: no section `{SECTION}`"))?;
        let data = section.data().map_err(|error| format!("{id}: {error}"))?;
        if data == file { Ok(()) } else { Err(format!("{id}: its section is not its `src/settings.json`")) }
    };
    let broken: Vec<String> = directories("extensions").iter().filter_map(|id| held(id).err()).collect();
    Rule {
        says: "every extension tells its settings: `src/settings.json`, embedded by `export!(…, settings)`",
        mend: "add `dispatch_testkit::settings_test!(TheSettingsType);` to its tests, run it with UPDATE=1, build again",
    }
    .holds(&broken);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "`UPDATE=1` is asked for by whoever runs the tests")]
fn the_reference_of_settings_is_what_the_extensions_say() {
    let text = reference().unwrap_or_else(|error| panic!("{error}"));
    let path = ::house::workspace_dir().join(REFERENCE);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).expect("the checkout is writable");
    }
    let same = fs::read_to_string(&path).unwrap_or_default() == text;
    let broken = if same { Vec::new() } else { vec![REFERENCE.to_owned()] };
    Rule {
        says: "the reference of settings is made from every `src/settings.json`",
        mend: "run `UPDATE=1 cargo house -p house --test house settings` and look at the diff",
    }
    .holds(&broken);
}

fn reference() -> Result<String, String> {
    let mut text = "# Every key that can be set\n\n\
        Made from what the extensions say of themselves (`dispatch config keys` prints the same of your build); do not edit it.\n\
        A key is written as `config = { KEY = … }` in a build list, under `[INSTANCE]` in `config.toml`, as `--set INSTANCE.KEY=…`, \
        or as `DISPATCH_SET__INSTANCE__KEY`.\n\
        *Reload*: a running host takes a change over at SIGHUP; else it holds from the next start on.\n"
        .to_owned();
    for id in directories("extensions") {
        let settings = Settings::parse(&file_of(&id)?).map_err(|error| format!("{id}: {error}"))?;
        let keys = settings.keys();
        text.push_str(&format!("\n## {id}\n\n"));
        if keys.is_empty() {
            text.push_str("Nothing can be set.\n");
            continue;
        }
        text.push_str("| key | takes | default | reload | means |\n|---|---|---|---|---|\n");
        keys.iter().for_each(|key| text.push_str(&row(key)));
    }
    Ok(text)
}

fn row(key: &SettingsKey) -> String {
    let default = key.default.as_ref().map(|value| format!("`{value}`")).unwrap_or_default();
    let reload = if key.reload { "yes" } else { "" };
    let secret = if key.secret { "; a secret" } else { "" };
    let cell = |text: &str| text.replace('|', "\\|");
    let (name, shape, meaning) = (key.name(), cell(&key.shape()), cell(&key.meaning));
    format!("| `{name}` | {shape}{secret} | {} | {reload} | {meaning} |\n", cell(&default))
}
