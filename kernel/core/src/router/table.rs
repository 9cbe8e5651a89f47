//! An op of the routing table, whose input schema is compiled when it is first called.

use super::state::{Endpoint, OpEntry};
use dispatch_contracts::op::OpSpec;
use std::sync::{Arc, OnceLock};

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
