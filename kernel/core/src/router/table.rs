//! The routing table: an immutable snapshot, swapped whole when an instance comes, goes or updates.

use super::endpoint::Endpoint;
use dispatch_contracts::op::OpSpec;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// Who answers what.
#[derive(Clone, Default)]
pub(crate) struct Table {
    /// Single-valued contract to its service.
    pub(crate) services: HashMap<String, Arc<Endpoint>>,
    /// `tool.v1#read_file` to its contributor.
    pub(crate) named: HashMap<String, Arc<Endpoint>>,
    /// Op id to its contributor.
    pub(crate) ops: BTreeMap<String, Arc<OpEntry>>,
    /// Topic to its subscribers.
    pub(crate) topics: HashMap<String, Vec<Arc<Endpoint>>>,
}

/// An op, whose input schema is compiled when it is first called: most runs of a host call few.
pub(crate) struct OpEntry {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) spec: OpSpec,
    pub(crate) schema_hash: String,
    input: OnceLock<Result<jsonschema::Validator, String>>,
}

impl OpEntry {
    pub(crate) fn new(endpoint: Arc<Endpoint>, spec: OpSpec, schema_hash: String) -> Self {
        Self { endpoint, spec, schema_hash, input: OnceLock::new() }
    }

    /// The compiled input schema, or what is wrong with it.
    pub(crate) fn input(&self) -> Result<&jsonschema::Validator, &str> {
        let compile = || jsonschema::validator_for(&self.spec.input_schema).map_err(|e| e.to_string());
        self.input.get_or_init(compile).as_ref().map_err(String::as_str)
    }
}
