//! One op as an operation of the document. It must not know what it does.

use super::problems::{COMMON, problems};
use super::schemas::{Schemas, place, point_through};
use crate::input::CURSOR_FIELD;
use crate::ops::OpRoute;
use crate::problem::{status_of, title};
use crate::routes::names_of;
use crate::schema::Kinds;
use dispatch_sdk::contracts::op::OpSpec;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The operation; its schemas become components.
pub(super) fn of(op: &OpRoute, method: &str, template: &str, schemas: &mut Schemas) -> Value {
    let spec = &op.spec;
    let places = names_of(template);
    let takes_body = matches!(method, "POST" | "PUT" | "PATCH");
    schemas.add(&format!("{}.input", spec.id), spec.input_schema.clone());
    let mut parameters: Vec<_> = places.iter().map(|name| parameter(op, name, "path")).collect();
    if !takes_body {
        let in_query = op.fields().filter(|name| !places.contains(name));
        parameters.extend(in_query.map(|name| parameter(op, name, "query")));
    }
    if spec.stream && op.fields().any(|name| name == CURSOR_FIELD) {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "As `after`, and wins over it: browsers send it when they reconnect.",
            "schema": { "type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX },
        }));
    }
    let mut operation = json!({
        "operationId": spec.id,
        "summary": spec.summary,
        "tags": [spec.id.split('.').next().unwrap_or("")],
        "parameters": parameters,
        "responses": responses(op, schemas),
    });
    if takes_body && op.fields().any(|name| !places.contains(name)) {
        operation["requestBody"] = request_body(op, &places, schemas);
    }
    operation
}

fn property<'a>(spec: &'a OpSpec, name: &str) -> Option<&'a Value> {
    spec.input_schema.get("properties").and_then(|properties| properties.get(name))
}

fn is_required(spec: &OpSpec, name: &str) -> bool {
    let required = spec.input_schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().any(|required| required == name)
}

fn parameter(op: &OpRoute, name: &str, whence: &str) -> Value {
    let spec = &op.spec;
    let mut schema = property(spec, name).cloned().unwrap_or_else(|| json!({ "type": "string" }));
    point_through(&mut schema, &place(&format!("{}.input", spec.id)));
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    drop_null(&mut schema);
    let mut parameter = json!({
        "name": name,
        "in": whence,
        "required": whence == "path" || is_required(spec, name),
    });
    if let Some(description) = description {
        parameter["description"] = description;
    }
    // A list is the parameter again and again; an object is its JSON.
    if op.kinds(name).is_some_and(is_object_alone) {
        parameter["content"] = json!({ "application/json": { "schema": schema } });
    } else {
        parameter["schema"] = schema;
    }
    let examples = examples(spec, |input| input.get(name).filter(|value| !value.is_null()).cloned());
    if !examples.is_empty() {
        parameter["examples"] = Value::Object(examples);
    }
    parameter
}

fn is_object_alone(kinds: &Kinds) -> bool {
    *kinds == Kinds { object: true, ..Kinds::default() }
}

/// Text stands for no `null`: a parameter that is not there is left out.
fn drop_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = schema.get_mut(key) {
            parts.retain(|part| part.get("type").is_none_or(|name| name != "null"));
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// The input without what the path says.
fn request_body(op: &OpRoute, places: &[String], schemas: &mut Schemas) -> Value {
    let spec = &op.spec;
    let mut schema = spec.input_schema.clone();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !places.contains(name));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !places.iter().any(|place| place == name)));
    }
    let required = op.fields().any(|name| !places.contains(name) && is_required(spec, name));
    let schema = schemas.add(&format!("{}.body", spec.id), schema);
    let mut content = json!({ "schema": schema });
    let examples = examples(spec, |input| {
        let mut input = input.as_object()?.clone();
        input.retain(|name, _| !places.contains(name));
        Some(Value::Object(input))
    });
    if !examples.is_empty() {
        content["examples"] = Value::Object(examples);
    }
    json!({ "required": required, "content": { "application/json": content } })
}

fn examples(spec: &OpSpec, value: impl Fn(&Value) -> Option<Value>) -> Map<String, Value> {
    let mut examples = Map::new();
    for (idx, example) in spec.examples.iter().enumerate() {
        if let Some(value) = value(&example.input) {
            examples.insert(format!("example_{idx}"), json!({ "summary": example.summary, "value": value }));
        }
    }
    examples
}

fn responses(op: &OpRoute, schemas: &mut Schemas) -> Map<String, Value> {
    let spec = &op.spec;
    let own = spec.error_codes.iter().map(|code| status_of(code).as_u16());
    let statuses: BTreeSet<_> = COMMON.iter().copied().chain(own).collect();
    let mut responses = problems(statuses);
    let status = if spec.stream { StatusCode::OK } else { op.status };
    let mut success = json!({ "description": title(status) });
    if spec.stream {
        success["description"] = json!(
            "Server-sent events. `data` of each is one frame, `event` its type, `id` its cursor; `end` carries the \
             op's reply and `problem` a problem, and both are the last."
        );
        success["content"] = json!({ "text/event-stream": { "schema": frame_schema(spec, schemas) } });
    } else if status != StatusCode::NO_CONTENT {
        let schema = schemas.add(&format!("{}.output", spec.id), spec.output_schema.clone());
        success["content"] = json!({ "application/json": { "schema": schema } });
    }
    responses.insert(status.as_u16().to_string(), success);
    // An op may answer a code that it does not list.
    responses.extend(problems_by_default());
    responses
}

fn problems_by_default() -> Map<String, Value> {
    let mut responses = Map::new();
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/problem" }));
    responses
}

fn frame_schema(spec: &OpSpec, schemas: &mut Schemas) -> Value {
    if spec.frame_schema.is_null() {
        return json!({ "description": "A frame." });
    }
    schemas.add(&format!("{}.frame", spec.id), spec.frame_schema.clone())
}
