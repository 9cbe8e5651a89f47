//! Applies a filter's operations to a value and says what of the result breaks the point's shape.
//!
//! It must not know who filters, or what happens when one fails.

use crate::commit::events::raw;
use dispatch_contracts::filter::{FilterOp, Point};
use dispatch_contracts::message::{Message, Part};
use dispatch_contracts::provider::ToolOffer;
use dispatch_contracts::tool::OutputStream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Said of an operation that could not be read.
const NOT_KNOWN: &str = "asks for an operation that this kernel does not know, or that lacks a field";

/// The value of `provider.request`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestFields {
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) system: String,
    #[serde(default)]
    pub(crate) output_tokens_max: Option<u64>,
    #[serde(default)]
    pub(crate) temperature: Option<f64>,
}

/// The value of `tool.call`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallFields {
    pub(crate) tool_call_id: String,
    pub(crate) name: String,
    pub(crate) args: Map<String, Value>,
}

/// The value of `tool.result`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultFields {
    pub(crate) tool_call_id: String,
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) is_error: bool,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

/// The value of `tool.output`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutputFields {
    pub(crate) tool_call_id: String,
    pub(crate) name: String,
    pub(crate) stream: OutputStream,
    pub(crate) text: String,
}

/// `list` after `ops`; elements that nobody touches are never parsed.
pub(crate) fn change_list(
    point: Point,
    list: &[Box<RawValue>],
    ops: &[FilterOp],
) -> Result<Vec<Box<RawValue>>, String> {
    let mut list = list.to_vec();
    for op in ops {
        match op {
            FilterOp::Append { value } => list.push(element(point, value)?),
            FilterOp::Insert { at, value } => {
                if *at > list.len() {
                    return Err(format!("inserts at `{at}`, but the list has {} items", list.len()));
                }
                list.insert(*at, element(point, value)?);
            }
            FilterOp::Replace { at, value } => {
                let at = index(at, list.len())?;
                list[at] = element(point, value)?;
            }
            FilterOp::Remove { at } => {
                list.remove(index(at, list.len())?);
            }
            FilterOp::Unknown => return Err(NOT_KNOWN.to_owned()),
        }
    }
    if point == Point::TurnTools {
        unique_names(&list)?;
    }
    Ok(list)
}

/// `object` after `ops`. Its keys are those that the point has; a removed one is its default.
pub(crate) fn change_object(
    point: Point,
    object: &Map<String, Value>,
    ops: &[FilterOp],
) -> Result<Map<String, Value>, String> {
    let mut changed = object.clone();
    for op in ops {
        match op {
            FilterOp::Replace { at, value } => {
                changed.insert(key(at, object)?.to_owned(), value.clone());
            }
            FilterOp::Remove { at } => {
                changed.remove(key(at, object)?);
            }
            FilterOp::Append { .. } | FilterOp::Insert { .. } => {
                return Err("adds to a list, but the value is an object".to_owned());
            }
            FilterOp::Unknown => return Err(NOT_KNOWN.to_owned()),
        }
    }
    let shape = match point {
        Point::ProviderRequest => fits::<RequestFields>(&changed),
        Point::ToolCall => {
            fits::<CallFields>(&changed).and_then(|()| same(object, &changed, &["tool_call_id"]))
        }
        Point::ToolResult => {
            fits::<ResultFields>(&changed).and_then(|()| same(object, &changed, &["tool_call_id", "name"]))
        }
        Point::ToolOutput => fits::<OutputFields>(&changed)
            .and_then(|()| same(object, &changed, &["tool_call_id", "name", "stream"])),
        Point::TurnInput | Point::TurnTools | Point::TurnMessages | Point::Unknown => Ok(()),
    };
    shape.map(|()| changed)
}

fn element(point: Point, value: &Value) -> Result<Box<RawValue>, String> {
    let shape = match point {
        Point::TurnInput => Part::deserialize(value).map(drop),
        Point::TurnTools => ToolOffer::deserialize(value).map(drop),
        Point::TurnMessages => Message::deserialize(value).map(drop),
        Point::ProviderRequest | Point::ToolCall | Point::ToolResult | Point::ToolOutput | Point::Unknown => {
            Ok(())
        }
    };
    shape.map(|()| raw(value)).map_err(|source| format!("adds what has no place there: {source}"))
}

fn index(at: &Value, n_items: usize) -> Result<usize, String> {
    let found = at.as_u64().and_then(|at| usize::try_from(at).ok()).filter(|at| *at < n_items);
    found.ok_or_else(|| format!("changes item `{at}`, but the list has {n_items} items"))
}

fn key<'k>(at: &'k Value, object: &Map<String, Value>) -> Result<&'k str, String> {
    let found = at.as_str().filter(|key| object.contains_key(*key));
    found.ok_or_else(|| {
        let keys: Vec<_> = object.keys().map(String::as_str).collect();
        format!("changes the field `{at}`, but the fields are {}", keys.join(", "))
    })
}

fn fits<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<(), String> {
    T::deserialize(object).map(drop).map_err(|source| format!("leaves a value nobody can use: {source}"))
}

fn same(before: &Map<String, Value>, after: &Map<String, Value>, keys: &[&str]) -> Result<(), String> {
    match keys.iter().find(|key| before.get(**key) != after.get(**key)) {
        Some(key) => Err(format!("changes `{key}`, which ties the call to its result")),
        None => Ok(()),
    }
}

fn unique_names(offers: &[Box<RawValue>]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let mut seen = HashSet::new();
    for offer in offers {
        let Named { name } = serde_json::from_str(offer.get()).map_err(|source| source.to_string())?;
        if !seen.insert(name.clone()) {
            return Err(format!("offers the tool `{name}` twice"));
        }
    }
    Ok(())
}
