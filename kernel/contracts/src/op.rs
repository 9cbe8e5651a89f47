//! `op.v1`: authored operations; CLI commands, HTTP routes and MCP tools are projections of them.
//!
//! `op.v1/run#turns.start` is answered by the router: it checks the input against the schema and calls the op's verb on
//! its contributor with the caller's meta. Codes: those of the op, and `invalid` for an input that breaks the schema.

use crate::provider::FaultClass;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an op does to the world. An intent that the reader does not know counts as `destroy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Looks.
    Read,
    /// Changes.
    Write,
    /// Takes away for good.
    #[serde(other)]
    Destroy,
}

/// An op as `start` contributes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OpSpec {
    /// `<noun>.<verb>`, such as `turns.start`.
    pub id: String,
    /// One sentence.
    pub summary: String,
    /// Verb of the contributor that does it.
    pub verb: String,
    /// JSON Schema of the input.
    pub input_schema: Value,
    /// JSON Schema of the output.
    pub output_schema: Value,
    /// What it does to the world.
    pub intent: Intent,
    /// Whether doing it twice is doing it once.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether it brings in work that goes on after its answer: a host that is about to end refuses it, and nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admits_work: bool,
    /// Whether it emits frames.
    #[serde(default)]
    pub stream: bool,
    /// JSON Schema of a frame; `null` when it emits none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub frame_schema: Value,
    /// Inputs with what they answer; run as tests.
    #[serde(default)]
    pub examples: Vec<OpExample>,
    /// Codes it may answer, beside the router's own.
    #[serde(default)]
    pub error_codes: Vec<String>,
    /// How projections show it.
    #[serde(default)]
    pub surface: SurfaceHints,
}

/// An input and the output's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OpExample {
    /// What it shows.
    pub summary: String,
    /// Valid against the input schema.
    pub input: Value,
}

impl OpSpec {
    /// The op that the verb `V` is: schemas of its types, idempotent if it only looks; nothing else is set.
    pub fn of<V>(id: &str, summary: &str, intent: Intent) -> Self
    where
        V: Verb<Params: schemars::JsonSchema, Reply: schemars::JsonSchema>,
    {
        Self {
            id: id.to_owned(),
            summary: summary.to_owned(),
            verb: V::NAME.to_owned(),
            input_schema: schemars::schema_for!(V::Params).to_value(),
            output_schema: schemars::schema_for!(V::Reply).to_value(),
            intent,
            idempotent: intent == Intent::Read,
            admits_work: false,
            stream: false,
            frame_schema: Value::Null,
            examples: Vec::new(),
            error_codes: Vec::new(),
            surface: SurfaceHints::default(),
        }
    }
}

impl OpExample {
    /// An input and what it shows.
    pub fn new(summary: &str, input: Value) -> Self {
        Self { summary: summary.to_owned(), input }
    }
}

/// How projections show an op.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SurfaceHints {
    /// HTTP method.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub http_method: String,
    /// HTTP path with `{field}` places.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub http_path: String,
    /// HTTP status of a success; 0 = 200.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_status: u16,
    /// Words on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cli_words: Vec<String>,
}

fn is_zero(status: &u16) -> bool {
    *status == 0
}

/// Wire name of `op.v1/run`, to which `#<id>` is added. Parameters, frames and reply are those of the op's verb.
pub const RUN: &str = "op.v1/run";

/// `op.v1/list`.
pub struct List;

impl Verb for List {
    type Params = Empty;
    type Reply = ListReply;
    type Frame = NoFrame;
    const NAME: &'static str = "op.v1/list";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Every op of the build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListReply {
    /// Sorted by id.
    pub ops: Vec<ListedOp>,
}

/// An op with its place and fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedOp {
    /// Who contributes it.
    pub instance: String,
    /// sha256 of input and output schema, hex, 16 characters.
    pub schema_hash: String,
    /// The op.
    #[serde(flatten)]
    pub spec: OpSpec,
}

/// How a fault's code looks on each surface: `(code, HTTP status, exit code, JSON-RPC code)`.
///
/// Every code that a contract declares has its row; one that is not listed is `500`, `1`, `-32000`. What a provider was
/// told by its endpoint is nothing that the caller did: a refused key is a bad gateway to them, and no 401.
/// Source: RFC 9110, sysexits(3), JSON-RPC 2.0.
pub const ERROR_TABLE: &[(&str, u16, u8, i32)] = &[
    (crate::fault::INVALID, 400, 2, -32602),
    (crate::fault::BAD_CALL, 400, 1, -32600),
    (crate::fault::DENIED, 403, 77, -32001),
    (crate::fault::NOT_REQUIRED, 403, 1, -32001),
    (crate::fault::NOT_FOUND, 404, 1, -32002),
    (crate::fault::UNKNOWN_VERB, 404, 1, -32601),
    (crate::fault::NO_SERVICE, 503, 78, -32601),
    (crate::fault::CONFLICT, 409, 75, -32003),
    (crate::conversations::TURN_IN_FLIGHT, 409, 75, -32003),
    (crate::conversations::STALE, 410, 1, -32003),
    (crate::fault::TOO_LARGE, 413, 1, -32602),
    (crate::storage::NO_SPACE, 507, 75, -32004),
    (crate::storage::CORRUPT, 500, 1, -32000),
    (crate::fault::OVERLOADED, 503, 75, -32004),
    (crate::fault::UNAVAILABLE, 503, 75, -32004),
    (crate::turns::NO_PROVIDER, 422, 78, -32004),
    (crate::turns::NO_ENGINE, 422, 78, -32004),
    (crate::fault::DEADLINE, 504, 75, -32005),
    (crate::fault::CANCELLED, 499, 130, -32006),
    (crate::fault::PANICKED, 500, 1, -32603),
    (crate::fault::BROKEN, 500, 1, -32603),
    (crate::fault::TOO_DEEP, 500, 1, -32603),
    (crate::fault::IO, 500, 1, -32000),
    (FaultClass::RateLimited.code(), 503, 75, -32004),
    (FaultClass::ProviderOverloaded.code(), 503, 75, -32004),
    (FaultClass::ServerError.code(), 502, 75, -32004),
    (FaultClass::Connect.code(), 502, 75, -32004),
    (FaultClass::Unreachable.code(), 502, 75, -32004),
    // A name may be unknown only where this machine is now.
    (FaultClass::WrongEndpoint.code(), 502, 75, -32004),
    (FaultClass::Truncated.code(), 502, 75, -32004),
    (FaultClass::Stalled.code(), 504, 75, -32005),
    (FaultClass::Garbled.code(), 502, 75, -32004),
    (FaultClass::Auth.code(), 502, 77, -32001),
    (FaultClass::Quota.code(), 502, 77, -32001),
    (FaultClass::ContextOverflow.code(), 422, 1, -32602),
    (FaultClass::BadRequest.code(), 502, 1, -32000),
    (FaultClass::Unknown.code(), 502, 1, -32000),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_of_a_providers_fault_has_its_row_and_no_code_has_two() {
        let codes: BTreeSet<&str> = ERROR_TABLE.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), ERROR_TABLE.len());
        let schema = schemars::schema_for!(FaultClass).to_value();
        let described = schema["oneOf"].as_array().into_iter().flatten();
        let classes: Vec<&str> = described.filter_map(|class| class["const"].as_str()).collect();
        assert!(classes.len() > 10, "{schema:#}");
        for class in classes {
            assert!(codes.contains(class), "`{class}`");
        }
    }
}
