//! An instance's `config` table as JSON.
//!
//! It must not know what an extension does with it.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::{Reader, Wrong};
use crate::problem::shown;

/// Turns a table into JSON; dates become strings. The document's own bound keeps the recursion shallow.
pub(super) fn table_to_json(reader: &mut Reader, table: &DeTable<'_>) -> Map<String, Value> {
    table
        .iter()
        .filter_map(|(key, value)| Some((key.get_ref().to_string(), to_json(reader, value)?)))
        .collect()
}

/// Turns one value into JSON; what JSON cannot hold is refused by the reader.
pub(crate) fn to_json(reader: &mut Reader, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let number = match value.get_ref() {
        DeValue::String(text) => return Some(Value::String(text.to_string())),
        DeValue::Boolean(flag) => return Some(Value::Bool(*flag)),
        DeValue::Datetime(at) => return Some(Value::String(at.to_string())),
        DeValue::Array(items) => {
            return Some(items.iter().filter_map(|item| to_json(reader, item)).collect());
        }
        DeValue::Table(table) => return Some(Value::Object(table_to_json(reader, table))),
        DeValue::Integer(text) => i64::from_str_radix(text.as_str(), text.radix()).ok().map(Number::from),
        DeValue::Float(text) => text.as_str().parse().ok().and_then(Number::from_f64),
    };
    if number.is_none() {
        let written = match value.get_ref() {
            DeValue::Integer(text) => shown(&text.to_string()),
            other => shown(other.as_float().map_or("", |text| text.as_str())),
        };
        let help = "numbers are finite, whole ones from -2^63 to 2^63-1";
        reader
            .refuse(&value.span(), Wrong::new(format!("`{written}` is no number JSON can hold")).help(help));
    }
    number.map(Value::Number)
}
