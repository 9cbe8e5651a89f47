//! The configuration of one instance, checked once. It must not know requests.

use crate::chunks::ThinkTags;
use crate::proxies::{Between, Proxies};
use crate::secrets::Secrets;
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::{FaultClass, ProviderSpec};
use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Config, Fault};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The longest `idle_timeout_ms`. It may go beyond the router's own limit of silence, because a stream that waits for its
/// endpoint shows signs of life.
const IDLE_TIMEOUT_MS_MAX: u64 = 15 * 60_000;
/// The longest `keepalive_timeout_ms`.
const KEEPALIVE_TIMEOUT_MS_MAX: u64 = 60 * 60_000;
/// The longest `connect_timeout_ms`.
const CONNECT_TIMEOUT_MS_MAX: u64 = 60_000;

/// What a build may write; a wrong key is refused. All of it holds from a reload on.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    /// Where the endpoint is, without `/chat/completions`: `https://api.openai.com/v1`, which is also the default when a key
    /// is set. Without user, password and `#`. Empty and no key = the provider is not ready.
    #[schemars(extend("x-reload" = true))]
    base_url: String,
    /// Sent as `authorization: Bearer …`; empty = none. Best as `{ env = "…" }`.
    #[schemars(extend("writeOnly" = true))]
    #[schemars(extend("x-reload" = true))]
    api_key: String,
    /// Used when a turn names no model; empty = each turn must.
    #[schemars(extend("x-reload" = true))]
    model: String,
    /// Headers of every request, by name; their values are secrets.
    #[schemars(extend("writeOnly" = true))]
    #[schemars(extend("x-reload" = true))]
    headers: BTreeMap<String, String>,
    /// The proxy that requests go through: `http://user:password@proxy.example:3128`, also https, socks4, socks4a, socks5
    /// and socks5h; `none` = never one; empty, the default = as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say, in
    /// capitals or small letters. An endpoint on this machine is never asked through one.
    #[schemars(extend("writeOnly" = true))]
    #[schemars(extend("x-reload" = true))]
    proxy: String,
    /// How long a connection may take, TLS included, in ms. From 1 to 60,000, default 10,000.
    #[schemars(range(min = 1, max = CONNECT_TIMEOUT_MS_MAX))]
    #[schemars(extend("x-reload" = true))]
    connect_timeout_ms: u64,
    /// How long an endpoint may send nothing at all, before its answer or within it, in ms. From 1 to 900,000, default
    /// 180,000: some models think for two minutes before their first token.
    #[schemars(range(min = 1, max = IDLE_TIMEOUT_MS_MAX))]
    #[schemars(extend("x-reload" = true))]
    idle_timeout_ms: u64,
    /// How long an endpoint may send comments and no event, in ms: by those it says that it still works. From 1 to
    /// 3,600,000, default 900,000.
    #[schemars(range(min = 1, max = KEEPALIVE_TIMEOUT_MS_MAX))]
    #[schemars(extend("x-reload" = true))]
    keepalive_timeout_ms: u64,
    /// The field that bounds the output: `max_tokens`, the default, or `max_completion_tokens`.
    #[schemars(extend("x-reload" = true))]
    output_tokens_field: OutputTokensField,
    /// Whether usage is asked for in the stream; some servers refuse the field. Default true.
    #[schemars(extend("x-reload" = true))]
    send_usage_option: bool,
    /// Whether reasoning goes back to the model that it came from, as `reasoning_content`: `true` always, `false` never,
    /// `"auto"`, the default: that of the running turn if the model sent it in this field, or all of it once the endpoint
    /// has refused a history without.
    #[schemars(with = "Value", extend("enum" = [true, false, "auto"], "default" = "auto"))]
    #[schemars(extend("x-reload" = true))]
    send_reasoning: SendReasoning,
    /// What `<think>` in the text means: `leading`, the default: a block with which an answer begins is reasoning;
    /// `unopened`: an answer begins inside of one, because the chat template writes the opening tag; `off`: text.
    #[schemars(extend("x-reload" = true))]
    think_tags: ThinkTags,
    /// Whether the models may be shown images. Default true: where the endpoint refuses a request with images it is sent
    /// again with words in their places, each time.
    #[schemars(extend("x-reload" = true))]
    images: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            api_key: String::new(),
            model: String::new(),
            headers: BTreeMap::new(),
            proxy: String::new(),
            connect_timeout_ms: 10_000,
            idle_timeout_ms: 180_000,
            keepalive_timeout_ms: 900_000,
            output_tokens_field: OutputTokensField::MaxTokens,
            send_usage_option: true,
            send_reasoning: SendReasoning::Auto,
            think_tags: ThinkTags::default(),
            images: true,
        }
    }
}

/// Used when there is a key and no endpoint is named.
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// The field that bounds the output; newer models of some endpoints take only the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

/// Whether reasoning goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum SendReasoning {
    Always,
    Never,
    /// As the endpoint wants it.
    Auto,
}

impl TryFrom<Value> for SendReasoning {
    type Error = &'static str;

    fn try_from(written: Value) -> Result<Self, Self::Error> {
        match written {
            Value::Bool(true) => Ok(Self::Always),
            Value::Bool(false) => Ok(Self::Never),
            Value::String(word) if word == "auto" => Ok(Self::Auto),
            _ => Err("`send_reasoning` must be true, false or \"auto\""),
        }
    }
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
    pub(crate) proxies: Proxies,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) output_tokens_field: OutputTokensField,
    pub(crate) send_usage_option: bool,
    pub(crate) send_reasoning: SendReasoning,
    pub(crate) think_tags: ThinkTags,
    pub(crate) images: bool,
}

impl Settings {
    /// Reads and checks the configuration; `invalid` names the key that is wrong.
    pub(crate) fn read(config: &Config) -> Result<Self, Fault> {
        let instance = config.instance().to_owned();
        let written: Keys = config.parse()?;
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
        let proxies = match &base_url {
            Some(url) if is_local(url) => Proxies::read(&written.proxy).map(|_| Proxies::Never),
            Some(_) | None => Proxies::read(&written.proxy),
        };
        let proxies = proxies.map_err(|why| wrong("proxy", why))?;
        let within = |key: &str, ms: u64, ms_max: u64| match ms {
            ms if (1..=ms_max).contains(&ms) => Ok(Duration::from_millis(ms)),
            ms => Err(wrong(key, format!("is {ms}; it must be from 1 to {ms_max}"))),
        };
        Ok(Self {
            provider: instance.strip_prefix("provider-").unwrap_or(&instance).to_owned(),
            base_url,
            headers,
            secrets: Secrets::new(
                key.into_iter().chain(written.headers.values().map(String::as_str)).chain(proxies.password()),
            ),
            proxies,
            default_model: written.model.trim().to_owned(),
            connect_timeout: within(
                "connect_timeout_ms",
                written.connect_timeout_ms,
                CONNECT_TIMEOUT_MS_MAX,
            )?,
            idle_timeout: within("idle_timeout_ms", written.idle_timeout_ms, IDLE_TIMEOUT_MS_MAX)?,
            keepalive_timeout: within(
                "keepalive_timeout_ms",
                written.keepalive_timeout_ms,
                KEEPALIVE_TIMEOUT_MS_MAX,
            )?,
            output_tokens_field: written.output_tokens_field,
            send_usage_option: written.send_usage_option,
            send_reasoning: written.send_reasoning,
            think_tags: written.think_tags,
            images: written.images,
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
            images: self.images,
        }
    }

    /// Whether the key crosses a network that others can read.
    pub(crate) fn sends_secrets_in_clear_text(&self) -> bool {
        let is_plain = |url: &Url| url.scheme() == "http";
        !self.headers.is_empty() && !self.is_local() && self.base_url.as_ref().is_some_and(is_plain)
    }

    /// Whether the endpoint is on this machine; servers here mostly want no key.
    pub(crate) fn is_local(&self) -> bool {
        self.base_url.as_ref().is_some_and(is_local)
    }

    /// The proxy that requests go through.
    pub(crate) fn proxy(&self) -> Option<Between> {
        self.proxies.between(self.base_url.as_ref()?)
    }

    /// The endpoint's name or address, without brackets.
    pub(crate) fn host(&self) -> Option<&str> {
        self.base_url.as_ref().and_then(host)
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

    /// What to look at when a proxy stands in between.
    pub(crate) fn proxy_hint(&self) -> String {
        let said_by = self.proxy().map_or("the proxy", |proxy| proxy.said_by);
        format!("check {said_by}, which may hold user and password, and `base_url` of `{}`", self.instance)
    }

    /// What to set when an endpoint speaks of reasoning that it misses, or refuses.
    pub(crate) fn reasoning_hint(&self) -> String {
        format!(
            "`send_reasoning` of `{}` (true, false, \"auto\") says whether the reasoning of earlier steps goes back; of another \
             model's none does, a new conversation has none",
            self.instance
        )
    }

    /// The environment variable that sets a key of this instance.
    fn variable(&self, key: &str) -> String {
        format!("DISPATCH_SET__{}__{key}", self.instance.to_ascii_uppercase().replace('-', "_"))
    }
}

fn host(url: &Url) -> Option<&str> {
    Some(url.host_str()?.trim_matches(['[', ']']))
}

fn is_local(url: &Url) -> bool {
    host(url)
        .is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
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
