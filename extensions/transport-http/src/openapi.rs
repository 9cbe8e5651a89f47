//! `/openapi.json`: the ops that are there now, as an OpenAPI 3.1 document.
//!
//! It must not know any op. Each schema becomes one component and keeps its own `$defs` inside; a local `$ref` is made
//! to point through the component, so that every one resolves in the document.

mod operation;
mod problems;
mod schemas;

use crate::ops::OpAt;
use crate::problem::title;
use hyper::StatusCode;
use problems::{problem_response, problem_schema, problems};
use schemas::Schemas;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document; its paths are sorted.
pub(crate) fn document<'a>(ops: impl Iterator<Item = OpAt<'a>>, version: &str) -> Value {
    let ops: BTreeMap<_, _> = ops.map(|(template, method, op)| ((template, method), op)).collect();
    let mut schemas = Schemas::default();
    schemas.add("problem", problem_schema());
    let mut paths = fixed_paths();
    for ((template, method), op) in ops {
        let operation = operation::of(op, method, template, &mut schemas);
        let path = paths.entry(template.replace("{*", "{")).or_insert_with(|| json!({}));
        path[method.to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dispatch",
            "version": version,
            "description": "The ops of this host. It is made from the extensions that run, and changes with them.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "problem": problem_response() },
            "schemas": schemas.into_map(),
        },
    })
}

fn fixed_paths() -> Map<String, Value> {
    let empty = |status: StatusCode| json!({ "description": title(status) });
    let ready = json!({ "200": empty(StatusCode::OK), "503": empty(StatusCode::SERVICE_UNAVAILABLE) });
    let probe = |id: &str, summary: &str, answers: &Value| {
        let mut responses = problems([400, 403, 414, 421, 431]);
        responses.extend(answers.as_object().cloned().unwrap_or_default());
        json!({ "get": { "operationId": id, "summary": summary, "security": [], "tags": ["host"], "responses": responses } })
    };
    let told = |id: &str, summary: &str, kind: &str, schema: Value| {
        let mut responses = problems([400, 401, 403, 414, 421, 431, 500, 503, 504]);
        responses.insert(
            "200".to_owned(),
            json!({ "description": "OK", "content": { kind: { "schema": schema } } }),
        );
        json!({ "get": { "operationId": id, "summary": summary, "tags": ["host"], "responses": responses } })
    };
    let version = json!({
        "type": "object",
        "required": ["kernel", "host_id"],
        "properties": { "kernel": { "type": "string" }, "host_id": { "type": "string" } },
    });
    let text = json!({ "type": "string" });
    let mut paths = Map::new();
    let alive = json!({ "200": empty(StatusCode::OK) });
    paths.insert("/livez".to_owned(), probe("livez", "Whether the host lives.", &alive));
    paths.insert("/readyz".to_owned(), probe("readyz", "Whether work may come in, and can be done.", &ready));
    let who = "Which kernel, and which host process.";
    paths.insert("/version".to_owned(), told("version", who, "application/json", version));
    let this = told("openapi", "This document.", "application/json", json!({ "type": "object" }));
    paths.insert("/openapi.json".to_owned(), this);
    let metrics = told("metrics", "Numbers, as Prometheus reads them.", "text/plain", text);
    paths.insert("/metrics".to_owned(), metrics);
    paths
}
