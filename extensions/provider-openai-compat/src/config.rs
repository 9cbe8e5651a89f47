//! The configuration of one instance, checked once. It must not know requests.

use crate::secrets::Secrets;
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::{FaultClass, ProviderSpec};
use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Config, Fault};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The longest `idle_timeout_ms`. It may go beyond the router's own limit of silence, because a stream that waits for its
/// endpoint shows signs of life.
const IDLE_TIMEOUT_MS_MAX: u64 = 15 * 60_000;
/// The longest `connect_timeout_ms`.
const CONNECT_TIMEOUT_MS_MAX: u64 = 60_000;

/// What a build may write; a wrong key is refused.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    base_url: String,
    api_key: String,
    model: String,
    headers: BTreeMap<String, String>,
    connect_timeout_ms: u64,
    idle_timeout_ms: u64,
    output_tokens_field: OutputTokensField,
    send_usage_option: bool,
    send_reasoning: bool,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            api_key: String::new(),
            model: String::new(),
            headers: BTreeMap::new(),
            connect_timeout_ms: 10_000,
            // Some models think for two minutes before their first token.
            idle_timeout_ms: 180_000,
            output_tokens_field: OutputTokensField::MaxTokens,
            send_usage_option: true,
            send_reasoning: false,
        }
    }
}

/// Used when there is a key and no endpoint is named.
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// The field that bounds the output; newer models of some endpoints take only the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

/// The configuration, parsed.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) instance: String,
    /// Name after `#`.
    pub(crate) provider: String,
    /// Without a slash at its end; `None` = not configured.
    pub(crate) base_url: Option<Url>,
    /// Sent with every request, the authorization included.
    pub(crate) headers: HeaderMap,
    pub(crate) secrets: Secrets,
    pub(crate) default_model: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) output_tokens_field: OutputTokensField,
    pub(crate) send_usage_option: bool,
    pub(crate) send_reasoning: bool,
}

impl Settings {
    /// Reads and checks the configuration; `invalid` names the key that is wrong.
    pub(crate) fn read(config: &Config) -> Result<Self, Fault> {
        let instance = config.instance().to_owned();
        let written: Written = config.parse()?;
        let wrong = |key: &str, why: String| {
            Fault::new(INVALID, format!("cannot use the configuration of `{instance}`: `{key}` {why}"))
        };
        let key = Some(written.api_key.trim()).filter(|key| !key.is_empty());
        // A key without an endpoint is one of the service that the wire comes from.
        let endpoint = match (written.base_url.trim(), key) {
            ("", Some(_)) => DEFAULT_BASE_URL,
            (given, _) => given,
        };
        let base_url = base_url(endpoint).map_err(|why| wrong("base_url", why))?;
        let headers = headers(&written.headers, key).map_err(|(key, why)| wrong(&key, why))?;
        let within = |key: &str, ms: u64, ms_max: u64| match ms {
            ms if (1..=ms_max).contains(&ms) => Ok(Duration::from_millis(ms)),
            ms => Err(wrong(key, format!("is {ms}; it must be from 1 to {ms_max}"))),
        };
        Ok(Self {
            provider: instance.strip_prefix("provider-").unwrap_or(&instance).to_owned(),
            base_url,
            headers,
            secrets: Secrets::new(key.into_iter().chain(written.headers.values().map(String::as_str))),
            default_model: written.model.trim().to_owned(),
            connect_timeout: within(
                "connect_timeout_ms",
                written.connect_timeout_ms,
                CONNECT_TIMEOUT_MS_MAX,
            )?,
            idle_timeout: within("idle_timeout_ms", written.idle_timeout_ms, IDLE_TIMEOUT_MS_MAX)?,
            output_tokens_field: written.output_tokens_field,
            send_usage_option: written.send_usage_option,
            send_reasoning: written.send_reasoning,
            instance,
        })
    }

    /// What `start` contributes.
    pub(crate) fn spec(&self) -> ProviderSpec {
        ProviderSpec {
            name: self.provider.clone(),
            ready: self.base_url.is_some(),
            reason: if self.base_url.is_some() { String::new() } else { self.base_url_hint() },
            default_model: self.default_model.clone(),
            selectable: true,
        }
    }

    /// Whether the key crosses a network that others can read.
    pub(crate) fn sends_secrets_in_clear_text(&self) -> bool {
        let is_plain = |url: &Url| url.scheme() == "http";
        !self.headers.is_empty() && !self.is_local() && self.base_url.as_ref().is_some_and(is_plain)
    }

    /// Whether the endpoint is on this machine; servers here mostly want no key.
    pub(crate) fn is_local(&self) -> bool {
        self.host().is_some_and(|host| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }

    /// The endpoint's name or address, without brackets.
    pub(crate) fn host(&self) -> Option<&str> {
        Some(self.base_url.as_ref()?.host_str()?.trim_matches(['[', ']']))
    }

    /// The address of `path` at the endpoint.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Trouble> {
        let base_url = self.base_url.as_ref().ok_or_else(|| {
            let why = format!("`{}` has no endpoint", self.instance);
            Trouble { hint: self.base_url_hint(), ..Trouble::new(FaultClass::BadRequest, why) }
        })?;
        let mut url = base_url.clone();
        url.set_path(&format!("{}/{path}", base_url.path().trim_end_matches('/')));
        Ok(url)
    }

    /// The model that a request is for.
    pub(crate) fn model<'s>(&'s self, asked: &'s str) -> Result<&'s str, Trouble> {
        [asked, &self.default_model].into_iter().find(|model| !model.is_empty()).ok_or_else(|| {
            let instance = &self.instance;
            let why = format!("the turn names no model and `{instance}` has no default one");
            let hint =
                format!("name one, or set it: `--set {instance}.model=…` or {}", self.variable("MODEL"));
            Trouble { hint, ..Trouble::new(FaultClass::BadRequest, why) }
        })
    }

    /// What to do when the endpoint refuses the key.
    pub(crate) fn api_key_hint(&self) -> String {
        let instance = &self.instance;
        let found = if self.headers.contains_key(AUTHORIZATION) { "check" } else { "none is sent; set" };
        format!(
            "{found} `api_key` of `{instance}`: {} or `{instance}.api_key = {{ env = \"…\" }}`",
            self.variable("API_KEY")
        )
    }

    /// What to do when no endpoint is configured.
    pub(crate) fn base_url_hint(&self) -> String {
        let (instance, base_url) = (&self.instance, self.variable("BASE_URL"));
        let api_key = self.variable("API_KEY");
        format!(
            "set a key of {DEFAULT_BASE_URL}: OPENAI_API_KEY (read by the default build) or {api_key}; \
             or another endpoint: `--set {instance}.base_url=…` or {base_url}"
        )
    }

    /// What to look at when nobody answers at the endpoint.
    pub(crate) fn reaching_hint(&self) -> String {
        format!("check `base_url` of `{}`, the network, and whether the server runs", self.instance)
    }

    /// The environment variable that sets a key of this instance.
    fn variable(&self, key: &str) -> String {
        format!("DISPATCH_SET__{}__{key}", self.instance.to_ascii_uppercase().replace('-', "_"))
    }
}

fn base_url(text: &str) -> Result<Option<Url>, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let example = "write it as `https://api.openai.com/v1`";
    let url = Url::parse(text).map_err(|error| format!("is no address ({error}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("is no address of http or https; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password; write them as a header in `headers`".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("holds a `#`; {example}"));
    }
    Ok(Some(url))
}

/// The headers, or the key that is wrong and why; a value is never shown.
fn headers(written: &BTreeMap<String, String>, key: Option<&str>) -> Result<HeaderMap, (String, String)> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let value = secret_value(&format!("Bearer {key}")).map_err(|why| ("api_key".to_owned(), why))?;
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in written {
        let at = || format!("headers.{name}");
        let value = secret_value(value).map_err(|why| (at(), why))?;
        let name = HeaderName::try_from(name).map_err(|_| (at(), "is no name of a header".to_owned()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn secret_value(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "holds a character that no header may have; look for a line feed".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
