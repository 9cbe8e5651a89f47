//! What kind of thing a key of the configuration holds, by its words alone: no instance is known here.
//!
//! It errs towards hiding: a harmless value that is not shown costs a look into a file.

use serde_json::Value;

/// What stands in place of a value that is not shown.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Words of a key whose value proves who somebody is.
const CREDENTIAL: [&str; 18] = [
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "headers",
    "key",
    "keys",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "secret",
    "secrets",
    "signature",
    "token",
];
/// Words of a key that says where something goes to, or comes from.
const ENDPOINT: [&str; 18] = [
    "addr",
    "address",
    "addresses",
    "endpoint",
    "endpoints",
    "host",
    "hosts",
    "listen",
    "origin",
    "origins",
    "port",
    "proxy",
    "server",
    "servers",
    "socket",
    "uri",
    "url",
    "urls",
];
/// Words of a key that names variables of the environment.
const ENVIRONMENT: [&str; 2] = ["env", "environment"];
/// Last words that make of a secret the place where it lies, or a number.
const ABOUT: [&str; 8] = ["bytes", "dir", "field", "file", "max", "min", "ms", "path"];

/// What a key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key, a token, a password, or where one lies.
    Credential,
    /// An address.
    Endpoint,
    /// Names of variables.
    Environment,
    Other,
}

/// The kind of the value at `keys`; the outermost key that is about something says it.
pub(crate) fn kind(keys: &[impl AsRef<str>]) -> Kind {
    for key in keys {
        for word in key.as_ref().to_lowercase().split(['_', '-', '.']) {
            for (words, kind) in [
                (CREDENTIAL.as_slice(), Kind::Credential),
                (&ENDPOINT, Kind::Endpoint),
                (&ENVIRONMENT, Kind::Environment),
            ] {
                if words.contains(&word) {
                    return kind;
                }
            }
        }
    }
    Kind::Other
}

/// Whether the value itself at `keys` proves who somebody is.
pub(crate) fn is_secret(keys: &[impl AsRef<str>]) -> bool {
    let about = |key: &str| key.rsplit(['_', '-']).next().is_some_and(|word| ABOUT.contains(&word));
    kind(keys) == Kind::Credential && !keys.last().is_some_and(|key| about(key.as_ref()))
}

/// The value at `keys` as it may be shown: the name of a variable is, what it holds is not; nor is who logs in at an
/// address.
pub(crate) fn shown(keys: &[impl AsRef<str>], value: &Value) -> Value {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    show(&mut keys.clone(), value)
}

fn show<'a>(keys: &mut Vec<&'a str>, value: &'a Value) -> Value {
    match value {
        value if crate::secrets::variable(value).is_some() => value.clone(),
        Value::Object(table) => {
            let mut entry = |(key, value): (&'a String, &'a Value)| {
                keys.push(key);
                let shown = show(keys, value);
                keys.pop();
                (key.clone(), shown)
            };
            Value::Object(table.iter().map(&mut entry).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| show(keys, item)).collect()),
        Value::String(text) if is_secret(keys) && !text.is_empty() => Value::String(HIDDEN.to_owned()),
        Value::Number(_) if is_secret(keys) => Value::String(HIDDEN.to_owned()),
        Value::String(text) => Value::String(without_login(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Whether the text is an address with a user or a password in it.
pub(crate) fn holds_login(text: &str) -> bool {
    without_login(text) != text
}

/// An address without the name and the password before its `@`.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_keys_words_say_what_it_is_about() {
        for (keys, expected) in [
            (&["api_key"][..], Kind::Credential),
            (&["headers", "x-title"], Kind::Credential),
            (&["token_file"], Kind::Credential),
            (&["nested", "Client-Secret"], Kind::Credential),
            (&["base_url"], Kind::Endpoint),
            (&["listen"], Kind::Endpoint),
            (&["env_also"], Kind::Environment),
            (&["api", "env"], Kind::Environment),
            (&["max_output_tokens"], Kind::Other),
            (&["keep_alive_ms"], Kind::Other),
            (&["monkey"], Kind::Other),
        ] {
            assert_eq!(kind(keys), expected, "{keys:?}");
        }
        assert!(is_secret(&["api_key"]) && is_secret(&["keys", "0"]) && !is_secret(&["token_file"]));
    }

    #[test]
    fn what_a_secret_is_stays_hidden_and_which_variable_holds_it_does_not() {
        for (keys, value, expected) in [
            (&["api_key"][..], json!("sk-canary"), json!(HIDDEN)),
            (&["api_key"], json!({ "env": "KEY" }), json!({ "env": "KEY" })),
            (&["headers"], json!({ "x-a": "sk-canary" }), json!({ "x-a": HIDDEN })),
            (
                &["accounts"],
                json!([{ "password": "canary", "name": "n" }]),
                json!([{ "password": HIDDEN, "name": "n" }]),
            ),
            (&["pin_code", "token"], json!(1234), json!(HIDDEN)),
            (&["base_url"], json!("https://me:canary@h/v1"), json!("https://(hidden)@h/v1")),
            (&["base_url"], json!("https://h/a@b"), json!("https://h/a@b")),
            (&["model"], json!("m"), json!("m")),
        ] {
            assert_eq!(shown(keys, &value), expected, "{keys:?}");
        }
    }
}
