//! The names an extension brings, by kind.
//!
//! It must not know what is behind a name; that is what `start` returns.

use dispatch_contracts::ContributionKind;
use std::collections::BTreeMap;
use toml::de::DeTable;

use super::name;
use crate::document::Reader;
use crate::source::plain;

/// Names by kind; a name that ends in `*` stands for all that begin so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contributes(BTreeMap<ContributionKind, Vec<String>>);

impl Contributes {
    /// The names of one kind.
    pub fn of(&self, kind: ContributionKind) -> &[String] {
        self.0.get(&kind).map_or(&[], Vec::as_slice)
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
        let of_kind =
            |names: &Vec<String>| names.iter().map(|name| name.replace("{instance}", short)).collect();
        Self(self.0.iter().map(|(kind, names)| (*kind, of_kind(names))).collect())
    }

    pub(super) fn read(reader: &mut Reader, manifest: &DeTable<'_>) -> Self {
        let Some(table) = reader.table(manifest, "contributes") else {
            return Self::default();
        };
        reader.unknown_keys(table, &ContributionKind::ALL.map(ContributionKind::key));
        let mut names = |kind: ContributionKind| plain(reader.texts(table, kind.key(), name::contribution));
        let of_kind = ContributionKind::ALL.map(|kind| (kind, names(kind)));
        Self(of_kind.into_iter().filter(|(_, names)| !names.is_empty()).collect())
    }
}
