//! A build list: which extensions make a host, as the operator wrote it, with its includes merged.
//!
//! It must not know which extensions exist.

mod config;
mod entry;
mod include;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dispatch_contracts::tool::Decision;
use toml::de::{DeTable, DeValue};

use crate::document::{Reader, Wrong, quoted};
use crate::manifest::{contract, id};
use crate::nearest::nearest;
use crate::problem::shown;
use crate::source::Placed;

pub(crate) use config::to_json;
pub use entry::{Entry, WORKERS_MAX};
pub use include::{INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX};

/// The longest build list that is read, in bytes.
pub const BUILD_BYTES_MAX: usize = 256 << 10;
/// The most instances of one build.
pub const INSTANCES_MAX: usize = 256;

const KEYS: [&str; 6] = ["summary", "include", "exclude", "bind", "policy", "extension"];

/// A build list with all that it includes.
#[derive(Debug, Clone)]
pub struct BuildList {
    /// The file it was read from.
    pub path: PathBuf,
    /// One line for people: its own, else that of the last included file.
    pub summary: Option<String>,
    /// The instances, ids unique, in the order they were first named; at most [`INSTANCES_MAX`].
    pub entries: Vec<Entry>,
    /// Which instance answers a contract that several provide.
    pub bind: BTreeMap<String, Placed<String>>,
    /// What tools may do.
    pub policy: Policy,
}

/// What a tool may do, by its effect; `None` where the build does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Tools that only read.
    pub read: Option<Decision>,
    /// Tools that change files or state.
    pub write: Option<Decision>,
    /// Tools that run programs.
    pub exec: Option<Decision>,
}

impl BuildList {
    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            summary: None,
            entries: Vec::new(),
            bind: BTreeMap::new(),
            policy: Policy::default(),
        }
    }

    /// Takes over what an included or a later list says: key by key where both speak of the same instance.
    pub fn take_over(&mut self, later: Self) {
        for entry in later.entries {
            match self.entries.iter_mut().find(|known| known.id.value == entry.id.value) {
                Some(known) => known.take_over(entry),
                None => self.entries.push(entry),
            }
        }
        self.summary = later.summary.or(self.summary.take());
        self.bind.extend(later.bind);
        self.policy = Policy {
            read: later.policy.read.or(self.policy.read),
            write: later.policy.write.or(self.policy.write),
            exec: later.policy.exec.or(self.policy.exec),
        };
    }

    /// Takes instances out, with the binds that name them.
    fn exclude(&mut self, reader: &mut Reader, ids: &[Placed<String>]) {
        for excluded in ids {
            if !self.entries.iter().any(|entry| entry.id.value == excluded.value) {
                let message = format!("`{}` is excluded, but no included file names it", excluded.value);
                let near = nearest(&excluded.value, self.entries.iter().map(|entry| entry.id.as_str()));
                let wrong = Wrong { message, help: near.map(|near| format!("did you mean `{near}`?")) };
                reader.refuse(&excluded.place.span, wrong);
            }
        }
        let stays = |id: &str| !ids.iter().any(|excluded| excluded.value == id);
        self.entries.retain(|entry| stays(&entry.id));
        self.bind.retain(|_, instance| stays(instance));
    }
}

/// What one file says, before its includes are merged.
struct Sheet {
    own: BuildList,
    include: Vec<Placed<String>>,
    exclude: Vec<Placed<String>>,
}

impl Sheet {
    fn read(reader: &mut Reader, table: &DeTable<'_>, path: &Path) -> Self {
        reader.unknown_keys(table, &KEYS);
        let mut own = BuildList::empty(path);
        own.summary = reader.text(table, "summary", |text| Ok(text.to_owned())).map(|placed| placed.value);
        own.bind = bind(reader, table);
        own.policy = policy(reader, table);
        own.entries = entries(reader, table, path);
        let include = reader.texts(table, "include", |text| match text {
            "" => Err(Wrong::new("an empty path cannot be included")),
            text => Ok(text.to_owned()),
        });
        Self { own, include, exclude: reader.texts(table, "exclude", id) }
    }
}

fn entries(reader: &mut Reader, table: &DeTable<'_>, path: &Path) -> Vec<Entry> {
    let Some(value) = table.get("extension") else {
        return Vec::new();
    };
    let tables =
        value.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
    let Some(tables) = tables else {
        reader.refuse(
            &value.span(),
            Wrong::new("`extension` is not a list of tables")
                .help("begin each instance with `[[extension]]`"),
        );
        return Vec::new();
    };
    if let Some(one_too_many) = tables.get(INSTANCES_MAX) {
        reader.refuse(&one_too_many.span(), Wrong::new(too_many_instances(tables.len())));
        return Vec::new();
    }
    let mut entries: Vec<Entry> = Vec::new();
    for item in tables.iter() {
        let DeValue::Table(fields) = item.get_ref() else { continue };
        let Some(entry) = Entry::read(reader, fields, &item.span(), path) else { continue };
        if entries.iter().any(|known| known.id.value == entry.id.value) {
            let wrong = Wrong::new(format!("two instances have the id `{}`", entry.id.value));
            let help = "for a second instance of one extension write `id = \"another\"` and `from = \"the-extension\"`";
            reader.refuse(&entry.id.place.span, wrong.help(help));
        } else {
            entries.push(entry);
        }
    }
    entries
}

fn too_many_instances(count: usize) -> String {
    format!("the build has {count} instances, at most {INSTANCES_MAX} run")
}

fn bind(reader: &mut Reader, table: &DeTable<'_>) -> BTreeMap<String, Placed<String>> {
    let mut binds = BTreeMap::new();
    let Some(lines) = reader.table(table, "bind") else {
        return binds;
    };
    for (key, value) in lines.iter() {
        match contract(key.get_ref()) {
            Err(wrong) => reader.refuse(&key.span(), wrong),
            Ok(contract) => {
                if let Some(instance) = reader.text_value(value, &contract, id) {
                    binds.insert(contract, instance);
                }
            }
        }
    }
    binds
}

fn policy(reader: &mut Reader, table: &DeTable<'_>) -> Policy {
    let Some(lines) = reader.table(table, "policy") else {
        return Policy::default();
    };
    reader.unknown_keys(lines, &["read", "write", "exec"]);
    let mut of = |key: &str| reader.text(lines, key, decision).map(|placed| placed.value);
    Policy { read: of("read"), write: of("write"), exec: of("exec") }
}

fn decision(text: &str) -> Result<Decision, Wrong> {
    Decision::ALL.into_iter().find(|decision| decision.name() == text).ok_or_else(|| {
        let known = quoted(&Decision::ALL.map(Decision::name));
        Wrong::new(format!("`{}` is not a policy", shown(text))).help(format!("a policy is one of {known}"))
    })
}
