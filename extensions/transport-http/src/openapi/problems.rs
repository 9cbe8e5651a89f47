//! The problems of the document, and which of them any request of an op may be answered. It must not know ops.

use serde_json::{Map, Value, json};

/// The statuses that the listener itself, or the router, may answer to any request of an op.
pub(super) const COMMON: &[u16] = &[400, 401, 403, 404, 408, 413, 414, 415, 421, 431, 499, 500, 503, 504];

/// The responses that are problems.
pub(super) fn problems(statuses: impl IntoIterator<Item = u16>) -> Map<String, Value> {
    let mut responses = Map::new();
    for status in statuses {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/problem" }));
    }
    responses
}

/// The component that they point at.
pub(super) fn problem_response() -> Value {
    json!({
        "description": "A problem, RFC 9457. `code` is for programs, `detail` for a person.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/problem" } } },
    })
}

/// The schema of that component.
pub(super) fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string" },
            "code": { "type": "string" },
            "fault_detail": { "description": "Further facts; what they are depends on the code." },
        },
    })
}
