//! The configuration, with its defaults and bounds. It must not know how anything here is used.

use dispatch_sdk::Fault;
use dispatch_sdk::fault::INVALID;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Fewest bytes of a token; a shorter one can be guessed.
pub(crate) const TOKEN_BYTES_MIN: usize = 16;
/// Fewest bytes of a request's head; the parser takes no smaller bound.
const HEADER_BYTES_LEAST: usize = 8 * 1024;
/// Most bytes of a request's head, whatever the configuration says.
const HEADER_BYTES_MOST: usize = 1024 * 1024;
/// Most headers, whatever the configuration says.
const HEADERS_MOST: usize = 1_000;
/// Most bytes of a body, whatever the configuration says: a call's body must hold it as base64.
const BODY_BYTES_MOST: usize = 32 * 1024 * 1024;
/// A text of so many bytes passes, however it is escaped: what a turn takes as its input.
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes that JSON makes of one of a text's: `\u0061`.
const ESCAPE_BYTES_MOST: usize = 6;
/// What stands around that text.
const AROUND_TEXT_BYTES: usize = 1024 * 1024;
/// Longest time that can be configured.
const MS_MOST: u64 = 24 * 60 * 60 * 1000;

/// Keys that hold from the next start on; all others can be reloaded.
pub(crate) const NEEDS_RESTART: &[&str] = &["allow_plain_remote", "listen"];

/// The configuration of the listener.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where to listen: `127.0.0.1:7700`, `[::1]:0`, `localhost:7700`, `unix:/run/x.sock`.
    pub(crate) listen: Vec<String>,
    /// Listens beyond this machine without TLS; put a proxy that speaks TLS in front.
    pub(crate) allow_plain_remote: bool,
    /// The token itself, in place of a file.
    #[schemars(extend("writeOnly" = true))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) token: Option<Secret>,
    /// Where the token lies; absent = `<data>/<instance>/token`, which is made when it is missing.
    #[schemars(extend("x-reload" = true))]
    #[schemars(extend("x-kept" = true))]
    pub(crate) token_file: Option<PathBuf>,
    /// Further names that a `Host` header may have: `box.example` (any port), `box.example:8443`.
    #[schemars(extend("x-reload" = true))]
    pub(crate) hosts: Vec<String>,
    /// Origins whose pages may call: `https://box.example`.
    #[schemars(extend("x-reload" = true))]
    pub(crate) origins: Vec<String>,
    /// Most bytes of a request's head.
    #[schemars(range(min = HEADER_BYTES_LEAST, max = HEADER_BYTES_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) header_bytes_max: usize,
    /// Most headers of a request.
    #[schemars(range(min = 1, max = HEADERS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) headers_max: usize,
    /// Longest time for a head, from a connection's beginning or from its first byte.
    #[schemars(range(min = 1, max = MS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) header_read_ms: u64,
    /// Most bytes of a request's body, as it is sent.
    #[schemars(range(min = 1, max = BODY_BYTES_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) body_bytes_max: usize,
    /// Longest time for a body.
    #[schemars(range(min = 1, max = MS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) body_read_ms: u64,
    /// Longest time between two requests of a connection.
    #[schemars(range(min = 1, max = MS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) keep_alive_ms: u64,
    /// Longest time in which a client takes nothing of what is sent to it.
    #[schemars(range(min = 1, max = MS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) write_deadline_ms: u64,
    /// Most connections; one more is answered 503 and closed.
    #[schemars(range(min = 1))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) connections_max: usize,
    /// Most open streams of events; one more is answered 503.
    #[schemars(extend("x-reload" = true))]
    pub(crate) sse_clients_max: usize,
    /// Time between two comments on a silent stream.
    #[schemars(range(min = 1, max = MS_MOST))]
    #[schemars(extend("x-reload" = true))]
    pub(crate) heartbeat_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:7700".to_owned()],
            allow_plain_remote: false,
            token: None,
            token_file: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            header_bytes_max: 32 * 1024,
            headers_max: 100,
            header_read_ms: 10_000,
            body_bytes_max: ESCAPE_BYTES_MOST * TEXT_BYTES + AROUND_TEXT_BYTES,
            body_read_ms: 30_000,
            keep_alive_ms: 60_000,
            write_deadline_ms: 30_000,
            connections_max: 4_096,
            sse_clients_max: 1_000,
            heartbeat_ms: 15_000,
        }
    }
}

/// A text that is never printed.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl Settings {
    /// The same settings, if every value is within its bounds.
    pub(crate) fn checked(self) -> Result<Self, Fault> {
        let numbers = [
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_LEAST, HEADER_BYTES_MOST),
            ("headers_max", self.headers_max, 1, HEADERS_MOST),
            ("body_bytes_max", self.body_bytes_max, 1, BODY_BYTES_MOST),
            ("connections_max", self.connections_max, 1, usize::MAX),
        ];
        for (key, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return Err(invalid(format!("`{key}` is {value}; give a number from {least} to {most}")));
            }
        }
        let times = [
            ("header_read_ms", self.header_read_ms),
            ("body_read_ms", self.body_read_ms),
            ("keep_alive_ms", self.keep_alive_ms),
            ("write_deadline_ms", self.write_deadline_ms),
            ("heartbeat_ms", self.heartbeat_ms),
        ];
        for (key, value) in times {
            if !(1..=MS_MOST).contains(&value) {
                return Err(invalid(format!("`{key}` is {value}; give milliseconds from 1 to {MS_MOST}")));
            }
        }
        for origin in &self.origins {
            check_origin(origin)?;
        }
        if self.token.as_ref().is_some_and(|token| token.0.len() < TOKEN_BYTES_MIN) {
            let message = format!(
                "`token` is shorter than {TOKEN_BYTES_MIN} bytes and can be guessed; give a longer one, or leave it \
                 out and use the file that is made"
            );
            return Err(invalid(message));
        }
        Ok(self)
    }

    /// What `reload` was given, without its values in any message: one of them is a secret.
    pub(crate) fn of_reload(config: &Value) -> Result<Self, Fault> {
        let empty = serde_json::Map::new();
        let map = match config {
            Value::Null => &empty,
            Value::Object(map) => map,
            _ => return Err(invalid("the configuration is no table of keys".to_owned())),
        };
        let read = |value: Value| serde_json::from_value::<Self>(value);
        match read(Value::Object(map.clone())) {
            Ok(settings) => settings.checked(),
            Err(_) => {
                let alone = |key: &str, value: &Value| {
                    Value::Object([(key.to_owned(), value.clone())].into_iter().collect())
                };
                let wrong: Vec<_> = map
                    .iter()
                    .filter(|(key, value)| read(alone(key, value)).is_err())
                    .map(|(key, _)| format!("`{key}`"))
                    .collect();
                Err(invalid(format!("unknown, or not of its type: {}", wrong.join(", "))))
            }
        }
    }

    pub(crate) fn write_deadline(&self) -> Duration {
        Duration::from_millis(self.write_deadline_ms)
    }
}

fn check_origin(origin: &str) -> Result<(), Fault> {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let holds = rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"/*?#@".contains(&b))
    });
    if holds {
        return Ok(());
    }
    Err(invalid(format!(
        "`origins` holds `{origin}`; give whole origins, such as `https://box.example`, without a path"
    )))
}

fn invalid(what: String) -> Fault {
    Fault::new(INVALID, format!("cannot use the configuration of the HTTP listener: {what}"))
}
