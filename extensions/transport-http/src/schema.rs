//! What an input schema says of its fields: names, and which JSON a text of the query or the path can become.
//!
//! It must not know HTTP. It is no validator: the router checks the whole input against the schema.

use serde_json::Value;
use std::collections::BTreeMap;

/// How deep `$ref`, `allOf` and the like are followed.
const DEPTH_MAX: usize = 16;

/// The fields of an op's input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) fields: BTreeMap<String, Kinds>,
}

/// Which JSON a field can be. A schema that names none leaves text as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) string: bool,
    pub(crate) integer: bool,
    pub(crate) number: bool,
    pub(crate) boolean: bool,
    pub(crate) object: bool,
    /// A list, and which JSON its items can be.
    pub(crate) array: Option<Box<Kinds>>,
}

impl Shape {
    /// Reads a schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut shape = Self::default();
        shape.collect(schema, schema, 0);
        shape
    }

    fn collect(&mut self, schema: &Value, root: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                self.fields.entry(name.clone()).or_default().add(property, root, 0);
            }
        }
        for part in parts(schema, root) {
            self.collect(part, root, depth + 1);
        }
    }
}

impl Kinds {
    fn add(&mut self, schema: &Value, root: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match schema.get("type") {
            Some(Value::String(name)) => self.add_type(name, schema, root, depth),
            Some(Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    self.add_type(name, schema, root, depth);
                }
            }
            _ => {
                let constant = schema.get("const");
                let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
                for value in values.chain(constant) {
                    self.add_value(value);
                }
            }
        }
        for part in parts(schema, root) {
            self.add(part, root, depth + 1);
        }
    }

    fn add_type(&mut self, name: &str, schema: &Value, root: &Value, depth: usize) {
        match name {
            "string" => self.string = true,
            "integer" => self.integer = true,
            "number" => self.number = true,
            "boolean" => self.boolean = true,
            "object" => self.object = true,
            "array" => {
                let mut items = Self::default();
                if let Some(schema) = schema.get("items") {
                    items.add(schema, root, depth + 1);
                }
                self.array = Some(Box::new(items));
            }
            _ => {}
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(_) => self.string = true,
            Value::Number(n) if n.is_f64() => self.number = true,
            Value::Number(_) => self.integer = true,
            Value::Bool(_) => self.boolean = true,
            Value::Object(_) => self.object = true,
            Value::Array(_) | Value::Null => {}
        }
    }

    /// The JSON that a text stands for; `None` when it stands for nothing that the field can be.
    pub(crate) fn read(&self, text: &str) -> Option<Value> {
        if self.boolean && (text == "true" || text == "false") {
            return Some(Value::Bool(text == "true"));
        }
        if self.integer || self.number {
            let whole =
                text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
            if let Ok(number) = whole {
                return Some(number);
            }
        }
        if self.number
            && let Some(number) = text.parse().ok().and_then(serde_json::Number::from_f64)
        {
            return Some(Value::Number(number));
        }
        if self.object
            && let Ok(object @ Value::Object(_)) = serde_json::from_str(text)
        {
            return Some(object);
        }
        let says_nothing = *self == Self::default();
        (self.string || says_nothing).then(|| Value::String(text.to_owned()))
    }

    /// What a text has to be, for a person.
    pub(crate) fn wanted(&self) -> String {
        let all = [
            (self.string, "a string"),
            (self.integer, "an integer"),
            (self.number, "a number"),
            (self.boolean, "true or false"),
            (self.object, "a JSON object"),
        ];
        all.iter().filter(|(can, _)| *can).map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

/// The schemas that a schema is put together from.
fn parts<'a>(schema: &'a Value, root: &'a Value) -> impl Iterator<Item = &'a Value> {
    let pointed = schema.get("$ref").and_then(Value::as_str).and_then(|at| resolve(at, root));
    let listed = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten();
    pointed.into_iter().chain(listed)
}

/// What a local `$ref` points at.
pub(crate) fn resolve<'a>(at: &str, root: &'a Value) -> Option<&'a Value> {
    let pointer = at.strip_prefix('#')?;
    let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&pointer)
}
