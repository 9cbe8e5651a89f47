//! Why no answer came from an endpoint, and whether another try may bring one. It must not know what was asked.

use crate::config::Settings;
use crate::trouble::Trouble;
use dispatch_sdk::contracts::provider::FaultClass;
use std::error::Error;
use std::io;

/// What the resolvers of the C libraries say of a name that does not exist; a resolver that is not there says else.
const NO_SUCH_NAME: [&str; 4] = [
    "Name or service not known",
    "Name does not resolve",
    "No address associated with hostname",
    "nodename nor servname provided",
];

/// The trouble of a request that got no answer; `heard` = the endpoint has answered another one before.
///
/// An endpoint that answered may answer again, so whatever is in the way now is `connect`. Of one that was never heard,
/// what no wait heals is `wrong_endpoint`, and all else `unreachable`.
pub(crate) fn trouble(error: &reqwest::Error, settings: &Settings, heard: bool) -> Trouble {
    let origin = settings.base_url.as_ref().map(|url| url.origin().ascii_serialization());
    let origin = origin.unwrap_or_default();
    let (way, check) = match settings.proxy() {
        Some(proxy) => (format!(" through the proxy `{}`", proxy.shown), settings.proxy_hint()),
        None => (String::new(), settings.reaching_hint()),
    };
    let why = format!("no answer from `{origin}`{way}: {}", causes(error));
    let (class, hint) = match obstacle(error) {
        _ if heard => (FaultClass::Connect, String::new()),
        Some(Obstacle::Name) => (FaultClass::WrongEndpoint, format!("there is no such name: {check}")),
        Some(Obstacle::Certificate) => {
            let hint =
                format!("its certificate is refused: {check}; another authority is trusted by SSL_CERT_FILE");
            (FaultClass::WrongEndpoint, hint)
        }
        Some(Obstacle::Tls) => {
            let hint = format!("a server without TLS wants `http://` in `base_url`: {check}");
            (FaultClass::WrongEndpoint, hint)
        }
        None => (FaultClass::Unreachable, format!("nothing was ever heard from it: {check}")),
    };
    Trouble { hint, ..Trouble::new(class, why) }
}

/// An error and what it comes from, without the address, which the caller knows.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // The client's own layer says only that there was an error.
        let is_new = texts.last().is_none_or(|before| !before.contains(&text));
        if is_new && !text.starts_with("client error") {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// What stands in the way for good.
enum Obstacle {
    Name,
    Certificate,
    Tls,
}

fn obstacle(error: &reqwest::Error) -> Option<Obstacle> {
    let mut cause = error.source();
    while let Some(error) = cause {
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Obstacle::Certificate),
            Some(_) => return Some(Obstacle::Tls),
            None => {}
        }
        let text = error.to_string();
        if NO_SUCH_NAME.iter().any(|said| text.contains(said)) {
            return Some(Obstacle::Name);
        }
        cause = error.source();
    }
    None
}

/// The error of TLS that this one is, or that lies in it: an `io::Error` does not tell what it holds as its source.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}
