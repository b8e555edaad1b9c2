//! HTTP as this project speaks it: the one place where clients are made. Comes in a request, goes out a response whose
//! status is a success, or a typed error that never shows credentials or the query of an address.
//!
//! Redirects are followed here, hop by hop: at most ten, never from https to http, and `Authorization` does not go to
//! another host, port or scheme than the request was for. Bodies are not decompressed: digests are of what is sent.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, DATE, HeaderMap, HeaderName, LOCATION, RANGE,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{StatusCode, Url, redirect};

use super::retry::parse_retry_after;

const MAX_HOPS: usize = 10;
/// How much of an error's body is read for its message.
const MAX_MESSAGE: u64 = 64 * 1024;

/// How long to wait, and how often to try again.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// For the name lookup, the connection and the TLS handshake.
    pub connect_timeout: Duration,
    /// For the next byte.
    pub stall_timeout: Duration,
    /// How often a request is sent in all, if nothing comes of it.
    pub attempts: u32,
    /// The pause before the second attempt; doubles with each.
    pub pause: Duration,
    /// The longest pause, also if the server asks for more.
    pub longest_pause: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A client; cheap to keep, made once per run.
pub struct Http {
    options: HttpOptions,
    tls: OnceLock<Result<Client, String>>,
    plain: OnceLock<Result<Client, String>>,
}

/// For a server on this machine that answers when it is done: no time limit, no proxies, no TLS, no redirects.
pub fn loopback_client() -> reqwest::Result<Client> {
    let builder = client_builder().timeout(None).no_proxy();
    builder.tls_certs_only([]).build()
}

/// What all clients have in common.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of HTTP clients"
)]
fn client_builder() -> ClientBuilder {
    // Fails only if somebody else installed one first, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("imgbuild/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
}

/// A GET request.
#[derive(Clone, Debug)]
pub struct Get {
    /// The address.
    pub url: Url,
    /// Media types for `Accept`.
    pub accept: Option<String>,
    /// The value of `Authorization`.
    pub authorization: Option<super::Secret>,
    /// The first byte wanted, if not 0.
    pub from: u64,
    /// Whether to follow redirects.
    pub redirects: bool,
}

/// A request that brought no success.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an address that can be asked.
    #[error("{0} is not an http or https address")]
    Address(String),
    /// This machine cannot make a client, say because it has no CA certificates.
    #[error("cannot speak https: {0}")]
    Client(String),
    /// No connection.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why, in the system's words.
        reason: String,
    },
    /// A connection that broke or fell silent.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// An answer other than success.
    #[error("{host} answered {status}{}", detail(message))]
    Status {
        /// Host and port.
        host: String,
        /// The status.
        status: StatusCode,
        /// The body, if it is a short text, or the registry's own message.
        message: String,
        /// `Retry-After`, where sent.
        retry_after: Option<Duration>,
        /// `WWW-Authenticate`, where sent by the host that was asked (not by one it redirected to).
        challenges: Vec<String>,
    },
    /// A registry that wants a login which cannot be given.
    #[error("{host} wants a login: {reason}")]
    Login {
        /// Host and port.
        host: String,
        /// Why there is none.
        reason: String,
    },
    /// A redirect that must not be followed.
    #[error("{host} redirects {reason}")]
    Redirect {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Get {
    /// The whole of what is at an address, wherever it is redirected.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            accept: None,
            authorization: None,
            from: 0,
            redirects: true,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new(HttpOptions::default())
    }
}

impl Http {
    /// Touches nothing yet.
    pub fn new(options: HttpOptions) -> Self {
        Self {
            options,
            tls: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    /// How this client waits and repeats.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Sends a request once; only a success is `Ok`.
    pub fn get(&self, get: &Get) -> Result<Response, HttpError> {
        let mut url = get.url.clone();
        let mut authorization = get.authorization.as_ref();
        for _ in 0..=MAX_HOPS {
            let mut request = self
                .client(&url)?
                .get(url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(accept) = &get.accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(authorization) = authorization {
                request = request.header(AUTHORIZATION, authorization.header());
            }
            if get.from > 0 {
                request = request.header(RANGE, format!("bytes={}-", get.from));
            }
            let response = request.send().map_err(|error| failure(&url, &error))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !(get.redirects
                && status.is_redirection()
                && response.headers().contains_key(LOCATION))
            {
                let asked = same_origin(&url, &get.url);
                return Err(refusal(&url, response, asked));
            }
            let next = next_hop(&url, response.headers())?;
            if !same_origin(&next, &url) {
                authorization = None;
            }
            url = next;
        }
        Err(HttpError::Redirect {
            host: host(&get.url),
            reason: format!("more than {MAX_HOPS} times"),
        })
    }

    fn client(&self, url: &Url) -> Result<&Client, HttpError> {
        let client = match url.scheme() {
            "https" => self.tls.get_or_init(|| self.build(true)),
            "http" => self.plain.get_or_init(|| self.build(false)),
            _ => return Err(HttpError::Address(shown(url))),
        };
        client
            .as_ref()
            .map_err(|reason| HttpError::Client(reason.clone()))
    }

    fn build(&self, tls: bool) -> Result<Client, String> {
        let mut builder = client_builder()
            .connect_timeout(self.options.connect_timeout)
            // For a blocking client this is the limit of each read, not of the whole transfer.
            .timeout(self.options.stall_timeout)
            .referer(false);
        if !tls {
            // No roots to load: plain http works on a machine that has none.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| deepest(&error))
    }
}

impl HttpError {
    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// The host that cannot be reached at all.
    pub fn unreachable_host(&self) -> Option<&str> {
        match self {
            Self::Unreachable { host, .. } => Some(host),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let advice = match self {
            Self::Client(_) => {
                "apt-get install ca-certificates, or set SSL_CERT_FILE to your CA's certificates"
            }
            Self::Unreachable { reason, .. } if reason.contains("NotValidYet") => {
                "this machine's clock may be wrong"
            }
            Self::Unreachable { reason, .. } if reason.contains("UnknownIssuer") => {
                "set SSL_CERT_FILE to the certificates of the CA that signed the server's"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

/// Host and port, as people write them.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The address without user, password, query and fragment: what may be shown.
pub fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host(url), url.path())
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

fn next_hop(url: &Url, headers: &HeaderMap) -> Result<Url, HttpError> {
    let refuse = |reason: &str| HttpError::Redirect {
        host: host(url),
        reason: reason.to_owned(),
    };
    let location = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .unwrap_or_default();
    if location.is_empty() {
        return Err(refuse("to an empty address"));
    }
    let next = url
        .join(location)
        .map_err(|_| refuse("to something that is no address"))?;
    match (url.scheme(), next.scheme()) {
        ("https", "http") => Err(refuse("from https to http")),
        (_, "http" | "https") => Ok(next),
        _ => Err(refuse("to neither http nor https")),
    }
}

fn failure(url: &Url, error: &reqwest::Error) -> HttpError {
    let host = host(url);
    let reason = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "no connection in time".to_owned(),
        (false, true) => "no answer in time".to_owned(),
        (_, false) => deepest(error),
    };
    if error.is_connect() {
        HttpError::Unreachable { host, reason }
    } else {
        HttpError::Broken { host, reason }
    }
}

fn refusal(url: &Url, response: Response, asked: bool) -> HttpError {
    use std::io::Read as _;
    let status = response.status();
    let headers = response.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = text(RETRY_AFTER).and_then(|value| parse_retry_after(value, text(DATE)));
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter(|_| asked);
    let challenges = challenges
        .filter_map(|value| Some(value.to_str().ok()?.to_owned()))
        .collect();
    let mut body = Vec::new();
    let _ = response.take(MAX_MESSAGE).read_to_end(&mut body);
    HttpError::Status {
        host: host(url),
        status,
        message: message(&body),
        retry_after,
        challenges,
    }
}

/// A registry's `{"errors": [{"code": …, "message": …}]}`, or nothing: other servers send pages, not messages.
fn message(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::new();
    };
    let error = &body["errors"][0];
    let text = |key: &str| {
        error[key]
            .as_str()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
    };
    let (code, message): (String, String) = (text("code").collect(), text("message").collect());
    [code, message]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

fn detail(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

/// The innermost cause: the only one that says something new, and the only one without the address.
pub(super) fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
