//! The HTTP side: one client per instance, requests out, classified troubles back. It must not know chunks.

use crate::config::Settings;
use crate::reaching::{self, causes};
use crate::trouble::{Trouble, retry_after_ms};
use crate::ways::{REASONING_FIELD, Ways};
use dispatch_sdk::contracts::provider::FaultClass;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of an error's body is read.
pub(crate) const ERROR_BODY_BYTES_MAX: usize = 16 * 1024;
/// How long an error's body is waited for.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);
/// Sockets kept for the next request, and for how long.
const IDLE_SOCKETS_MAX: usize = 4;
const IDLE_SOCKET_KEEP: Duration = Duration::from_secs(30);

/// The client, built by the first request.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    client: OnceLock<Client>,
    /// Somebody there has answered something, be it an error.
    heard: AtomicBool,
    pub(crate) ways: Ways,
}

impl Endpoint {
    /// The same address under another configuration: what is known of it stays known.
    pub(crate) fn carried_over(&self) -> Self {
        let heard = AtomicBool::new(self.heard.load(Ordering::Relaxed));
        Self { client: OnceLock::new(), heard, ways: self.ways.carried_over() }
    }

    /// The client; requests are built with it and sent with [`Self::send`].
    ///
    /// It asks the address it was given, through the proxy that stands before it, and nobody else: no redirect, no second try.
    pub(crate) fn client(&self, settings: &Settings) -> Result<&Client, Trouble> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Fails when it was done before, by another instance of this library.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .default_headers(settings.headers.clone())
            .user_agent(concat!("dispatch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(IDLE_SOCKETS_MAX)
            .pool_idle_timeout(IDLE_SOCKET_KEEP);
        if settings.base_url.as_ref().is_some_and(|url| url.scheme() == "http")
            && settings.proxy().is_none_or(|proxy| !proxy.shown.starts_with("https"))
        {
            // No certificate is ever checked, so a machine without any must do.
            builder = builder.tls_certs_only([]);
        }
        let client = settings.proxies.of_client(builder).and_then(ClientBuilder::build).map_err(|error| {
            let why = format!("cannot make a client for the endpoint: {}", causes(&error));
            let hint =
                "https needs the certificates of this machine: install them, or name a file by SSL_CERT_FILE";
            Trouble { hint: hint.to_owned(), ..Trouble::new(FaultClass::WrongEndpoint, why) }
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends a request; the answer has a status of 2xx and its body is still to be read.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        settings: &Settings,
        deadline: Instant,
        now_ms: u64,
    ) -> Result<Response, Trouble> {
        let response = match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(reaching::trouble(&error, settings, self.heard.load(Ordering::Relaxed)));
            }
            Err(_) => return Err(silent(settings, "the endpoint took the request and has not answered")),
        };
        self.heard.store(true, Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        if status.is_redirection() {
            let location = header("location").unwrap_or("nowhere");
            let why = format!("the endpoint answered HTTP {} and sends to `{location}`", status.as_u16());
            let hint = "set `base_url` to the address where it is".to_owned();
            let http_status = Some(status.as_u16());
            return Err(Trouble { hint, http_status, ..Trouble::new(FaultClass::BadRequest, why) });
        }
        let wait_ms = retry_after_ms(header, now_ms);
        let body = error_body(response).await;
        let auth_hint = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => settings.proxy_hint(),
            _ => settings.api_key_hint(),
        };
        let mut trouble = Trouble::http(status.as_u16(), &body, wait_ms, &auth_hint);
        if trouble.hint.is_empty() && trouble.message.contains(REASONING_FIELD) {
            trouble.hint = settings.reasoning_hint();
        }
        Err(trouble)
    }
}

/// The whole body of an answer; more than `bytes_max` is a fault.
pub(crate) async fn whole_body(
    mut response: Response,
    bytes_max: usize,
    settings: &Settings,
    deadline: Instant,
) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(piece))) if body.len() + piece.len() <= bytes_max => body.extend_from_slice(&piece),
            Ok(Ok(Some(_))) => {
                let why = format!("the answer has more than {bytes_max} bytes");
                return Err(Trouble::new(FaultClass::Garbled, why));
            }
            Ok(Ok(None)) => return Ok(body),
            Ok(Err(error)) => {
                let why = format!("the answer was cut: {}", causes(&error));
                return Err(Trouble::new(FaultClass::Truncated, why));
            }
            Err(_) => return Err(silent(settings, "the endpoint stopped in the middle of its answer")),
        }
    }
}

/// The media type of an answer, in lower case, without parameters; empty if it has none.
pub(crate) fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Nothing came for longer than the limit of silence.
pub(crate) fn silent(settings: &Settings, what: &str) -> Trouble {
    let ms = settings.idle_timeout.as_millis();
    let hint = format!("a slow model needs a longer `idle_timeout_ms` of `{}`", settings.instance);
    Trouble { hint, ..Trouble::new(FaultClass::Stalled, format!("{what} for {ms} ms (`idle_timeout_ms`)")) }
}

/// As much of the body as comes soon; what the status says is enough if none does.
async fn error_body(mut response: Response) -> String {
    let deadline = Instant::now() + ERROR_BODY_WAIT;
    let mut body = Vec::new();
    while body.len() < ERROR_BODY_BYTES_MAX {
        let Ok(Ok(Some(piece))) = timeout_at(deadline, response.chunk()).await else { break };
        let room = ERROR_BODY_BYTES_MAX - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    String::from_utf8_lossy(&body).into_owned()
}
