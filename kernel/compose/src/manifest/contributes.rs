//! The names an extension brings: tools, providers, engines, ops, filters, commands.
//!
//! It must not know what is behind a name; that is what `start` returns.

use toml::de::DeTable;

use super::{name, plain};
use crate::document::Reader;

/// A kind of contribution; all are many-valued and addressed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContributionKind {
    /// A tool the model can call.
    Tool,
    /// An LLM wire.
    Provider,
    /// What runs a turn.
    Engine,
    /// An authored operation.
    Op,
    /// A filter at a named point.
    Filter,
    /// A command of the command line.
    Command,
}

impl ContributionKind {
    /// Every kind, in the order manifests list them.
    pub const ALL: [Self; 6] =
        [Self::Tool, Self::Provider, Self::Engine, Self::Op, Self::Filter, Self::Command];

    /// The word for one of it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Provider => "provider",
            Self::Engine => "engine",
            Self::Op => "op",
            Self::Filter => "filter",
            Self::Command => "command",
        }
    }

    /// The key in `contributes`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Provider => "providers",
            Self::Engine => "engines",
            Self::Op => "ops",
            Self::Filter => "filters",
            Self::Command => "commands",
        }
    }
}

/// Names by kind; a name that ends in `*` stands for all that begin so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contributes {
    /// Tools the model can call.
    pub tools: Vec<String>,
    /// LLM wires.
    pub providers: Vec<String>,
    /// What runs a turn.
    pub engines: Vec<String>,
    /// Authored operations.
    pub ops: Vec<String>,
    /// Filters at named points.
    pub filters: Vec<String>,
    /// Commands of the command line.
    pub commands: Vec<String>,
}

impl Contributes {
    /// The names of one kind.
    pub fn of(&self, kind: ContributionKind) -> &[String] {
        match kind {
            ContributionKind::Tool => &self.tools,
            ContributionKind::Provider => &self.providers,
            ContributionKind::Engine => &self.engines,
            ContributionKind::Op => &self.ops,
            ContributionKind::Filter => &self.filters,
            ContributionKind::Command => &self.commands,
        }
    }

    /// Whether `name` is declared, by itself or under a `*`.
    pub fn declares(&self, kind: ContributionKind, name: &str) -> bool {
        self.of(kind).iter().any(|declared| match declared.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => declared == name,
        })
    }

    /// Puts the instance into the names: `{instance}` becomes its id without a leading `provider-` or `tool-`.
    pub(crate) fn expanded(&self, instance_id: &str) -> Self {
        let short = ["provider-", "tool-"]
            .iter()
            .find_map(|prefix| instance_id.strip_prefix(prefix))
            .filter(|rest| !rest.is_empty())
            .unwrap_or(instance_id);
        self.map(|names| names.iter().map(|name| name.replace("{instance}", short)).collect())
    }

    pub(super) fn read(reader: &mut Reader, manifest: &DeTable<'_>) -> Self {
        let Some(table) = reader.table(manifest, "contributes") else {
            return Self::default();
        };
        reader.unknown_keys(table, &ContributionKind::ALL.map(ContributionKind::key));
        let mut names = |kind: ContributionKind| plain(reader.texts(table, kind.key(), name::contribution));
        Self {
            tools: names(ContributionKind::Tool),
            providers: names(ContributionKind::Provider),
            engines: names(ContributionKind::Engine),
            ops: names(ContributionKind::Op),
            filters: names(ContributionKind::Filter),
            commands: names(ContributionKind::Command),
        }
    }

    fn map(&self, change: impl Fn(&[String]) -> Vec<String>) -> Self {
        Self {
            tools: change(&self.tools),
            providers: change(&self.providers),
            engines: change(&self.engines),
            ops: change(&self.ops),
            filters: change(&self.filters),
            commands: change(&self.commands),
        }
    }
}
