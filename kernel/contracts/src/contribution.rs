//! What an instance can contribute: one table, a row for each kind. A new kind is a row and its spec.
//!
//! It must not know who reads a row: manifests take its key, the router its contract, the host its noun.

use crate::command::CommandSpec;
use crate::engine::{EngineSpec, NATIVE, is_native};
use crate::filter::{FilterSpec, Point};
use crate::op::OpSpec;
use crate::provider::ProviderSpec;
use crate::tool::{TOOL_NAME_BYTES_MAX, ToolSpec};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Makes the kinds and what has a place for each of them.
///
/// A row: the noun for one; the key in `contributes`; the spec that `start` returns; its field that names it; the
/// contract whose calls name it after `#`; why one cannot be used, if so.
macro_rules! contributions {
    ($(
        $(#[doc = $doc:literal])+
        $kind:ident $noun:literal $key:ident: $spec:ident, $name:ident, $contract:literal, $check:path;
    )+) => {
        /// A kind of contribution; all are many-valued and addressed by a name that is unique in the build.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ContributionKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ContributionKind {
            /// Every kind, in the order manifests list them.
            pub const ALL: [Self; [$($noun),+].len()] = [$(Self::$kind),+];

            /// The word for one of it.
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$kind => $noun,)+ }
            }

            /// The key in `contributes`.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$kind => stringify!($key),)+ }
            }

            /// The contract whose calls name one of it after `#`.
            pub const fn contract(self) -> &'static str {
                match self { $(Self::$kind => $contract,)+ }
            }
        }

        /// Contributions with their details; every name must be declared in the manifest.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct Contributions {
            $(
                $(#[doc = $doc])+
                #[serde(default, skip_serializing_if = "Vec::is_empty")]
                pub $key: Vec<$spec>,
            )+
        }

        impl Contributions {
            /// The names of one kind, as they were given.
            pub fn names(&self, kind: ContributionKind) -> Vec<&str> {
                match kind {
                    $(ContributionKind::$kind => self.$key.iter().map(|one| one.$name.as_str()).collect(),)+
                }
            }

            /// Takes one more, or says why it cannot be read or used.
            pub fn take(&mut self, kind: ContributionKind, value: Value) -> Result<(), String> {
                match kind {
                    $(ContributionKind::$kind => read(value, $check).map(|one| self.$key.push(one)),)+
                }
            }
        }
    };
}

contributions! {
    /// A tool the model can call.
    Tool "tool" tools: ToolSpec, name, "tool.v1", tool;
    /// An LLM wire.
    Provider "provider" providers: ProviderSpec, name, "provider.v1", any;
    /// What runs a turn.
    Engine "engine" engines: EngineSpec, name, "engine.v1", engine;
    /// An authored operation.
    Op "op" ops: OpSpec, id, "op.v1", any;
    /// A filter at a named point.
    Filter "filter" filters: FilterSpec, name, "filter.v1", filter;
    /// A command of the command line.
    Command "command" commands: CommandSpec, name, "command.v1", any;
}

fn read<T: DeserializeOwned>(value: Value, check: fn(&T) -> Result<(), String>) -> Result<T, String> {
    let one = serde_json::from_value(value).map_err(|error| error.to_string())?;
    check(&one).map(|()| one)
}

fn any<T>(_spec: &T) -> Result<(), String> {
    Ok(())
}

fn tool(spec: &ToolSpec) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = (1..=TOOL_NAME_BYTES_MAX).contains(&spec.name.len()) && spec.name.chars().all(plain);
    fits.then_some(()).ok_or_else(|| format!("its name is not of [a-zA-Z0-9_-]{{1,{TOOL_NAME_BYTES_MAX}}}"))
}

fn engine(spec: &EngineSpec) -> Result<(), String> {
    match is_native(&spec.name) {
        true => Err(format!("it cannot be called `{NATIVE}`, which is the kernel's own loop, nor nothing")),
        false => Ok(()),
    }
}

fn filter(spec: &FilterSpec) -> Result<(), String> {
    match spec.point {
        Point::Unknown => Err("this kernel does not have the point that it filters".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_that_cannot_be_used_is_refused_with_its_reason() {
        let mut taken = Contributions::default();
        let tool =
            |name: &str| json!({ "name": name, "description": "", "input_schema": {}, "effect": "read" });
        taken.take(ContributionKind::Tool, tool("read_file")).expect("it fits");
        for name in ["", "read file", "é", &"n".repeat(TOOL_NAME_BYTES_MAX + 1)] {
            let reason = taken.take(ContributionKind::Tool, tool(name)).expect_err("no provider takes it");
            assert_eq!(reason, "its name is not of [a-zA-Z0-9_-]{1,64}");
        }
        let reason = taken.take(ContributionKind::Filter, json!({ "name": "early", "point": "turn.dawn" }));
        assert_eq!(
            reason.expect_err("it is never asked"),
            "this kernel does not have the point that it filters"
        );
        for name in ["", "native"] {
            let engine = json!({ "name": name, "ready": true });
            let reason = taken.take(ContributionKind::Engine, engine).expect_err("the name is taken");
            assert!(reason.contains("cannot be called `native`"), "{reason}");
        }
        assert!(taken.take(ContributionKind::Op, json!({ "id": "things.list" })).is_err());
        assert_eq!(taken.names(ContributionKind::Tool), ["read_file"]);
        assert!(ContributionKind::ALL[1..].iter().all(|kind| taken.names(*kind).is_empty()));
    }
}
