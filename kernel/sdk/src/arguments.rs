//! What a model wrote as the arguments of a tool, read into what the tool works with.
//!
//! It must not know any tool.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads the arguments of a tool as `T`; `check` says what is wrong with arguments of the right types.
///
/// Errors: `invalid`, naming the argument; the model reads the message.
pub fn arguments<T: DeserializeOwned>(
    args: Map<String, Value>,
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<T, Fault> {
    let read = serde_json::from_value(Value::Object(args)).map_err(|e| e.to_string());
    let checked = read.and_then(|args: T| check(&args).map(|()| args));
    checked.map_err(|found| Fault::new(INVALID, format!("cannot read the arguments: {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Args {
        path: String,
        #[serde(default)]
        limit: u64,
    }

    fn read(args: Value) -> Result<Args, Fault> {
        let Value::Object(args) = args else { panic!("arguments are an object") };
        arguments(args, |args: &Args| {
            if args.path.is_empty() { Err("`path` must not be empty".to_owned()) } else { Ok(()) }
        })
    }

    #[test]
    fn what_is_wrong_with_arguments_is_said_by_name() {
        let refused = |args| read(args).expect_err("they are wrong");
        let invalid = |found: &str| Fault::new(INVALID, format!("cannot read the arguments: {found}"));
        assert_eq!(refused(json!({})), invalid("missing field `path`"));
        assert_eq!(refused(json!({ "path": "" })), invalid("`path` must not be empty"));
        assert_eq!(
            refused(json!({ "path": "a", "limit": "b" })),
            invalid("invalid type: string \"b\", expected u64")
        );
        assert_eq!(read(json!({ "path": "a" })), Ok(Args { path: "a".to_owned(), limit: 0 }));
    }
}
