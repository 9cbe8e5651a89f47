//! Which proxy stands between this machine and an endpoint. It must not know what is asked there.
//!
//! The environment is read by the HTTP client's own library, as curl reads it: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`, in capitals or small letters. Users and passwords of proxies are in no message.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, Proxy, Url};
use std::fmt;

/// The value of `proxy` that means none.
const NONE: &str = "none";
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Where requests go first.
pub(crate) enum Proxies {
    /// To the endpoint itself.
    Never,
    /// As the environment of the process says.
    Environment(Matcher),
    /// Always to this one.
    Always(Url, Matcher),
}

/// The proxy in front of an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Between {
    /// Without user and password: `http://proxy.example:3128`.
    pub(crate) shown: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Where it was said, for a person.
    pub(crate) said_by: &'static str,
}

impl Proxies {
    /// Reads the key `proxy`; the error says what is wrong with it and never what it is.
    pub(crate) fn read(written: &str) -> Result<Self, String> {
        let written = written.trim();
        if written.is_empty() {
            return Ok(Self::Environment(Matcher::from_env()));
        }
        if written == NONE {
            return Ok(Self::Never);
        }
        let url = Url::parse(written).ok().filter(|url| SCHEMES.contains(&url.scheme()) && url.has_host());
        let url = url.ok_or_else(|| {
            format!(
                "is no address of a proxy; write it as `http://proxy.example:3128` ({}), or `{NONE}`",
                SCHEMES.join(", ")
            )
        })?;
        let matcher = Matcher::builder().all(url.as_str()).build();
        Ok(Self::Always(url, matcher))
    }

    /// The proxy that requests for `url` go through.
    pub(crate) fn between(&self, url: &Url) -> Option<Between> {
        let (matcher, said_by) = match self {
            Self::Never => return None,
            Self::Environment(matcher) => {
                (matcher, "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment")
            }
            Self::Always(_, matcher) => (matcher, "`proxy` of the instance"),
        };
        let proxy = matcher.intercept(&url.as_str().parse().ok()?)?;
        let proxy = Url::parse(&proxy.uri().to_string()).ok()?;
        let (scheme, host) = (proxy.scheme(), proxy.host_str()?);
        let port = proxy.port_or_known_default().unwrap_or(1080);
        let shown = format!("{scheme}://{host}:{port}");
        Some(Between { shown, host: host.trim_matches(['[', ']']).to_owned(), port, said_by })
    }

    /// Makes the client go the same way.
    pub(crate) fn of_client(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        Ok(match self {
            Self::Never => builder.no_proxy(),
            Self::Environment(_) => builder,
            Self::Always(url, _) => builder.no_proxy().proxy(Proxy::all(url.clone())?),
        })
    }

    /// What must not be shown of it.
    pub(crate) fn password(&self) -> Option<&str> {
        match self {
            Self::Never | Self::Environment(_) => None,
            Self::Always(url, _) => url.password(),
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::Environment(_) => "Environment",
            Self::Always(..) => "Always",
        })
    }
}
