//! The routing table: an immutable snapshot, swapped whole when an instance comes, goes or updates.

use super::endpoint::Endpoint;
use dispatch_contracts::op::OpSpec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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

/// An op with its compiled input schema.
pub(crate) struct OpEntry {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) spec: OpSpec,
    pub(crate) schema_hash: String,
    pub(crate) input: jsonschema::Validator,
}
