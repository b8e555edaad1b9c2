//! Why a request brought no success, in words that hold no credentials.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::blocking::Response;
use reqwest::header::{DATE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

use super::{Request, host};
use crate::registry::credentials::KeychainError;
use crate::registry::retry::parse_retry_after;
use crate::registry::tls::TlsFault;

/// How much of an error's body is read for its message.
const MAX_MESSAGE: u64 = 64 * 1024;
/// How many characters of a code or a message are shown.
const SHOWN: usize = 200;

/// A request that brought no success.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an address that can be asked.
    #[error("{0} is not an http or https address")]
    Address(String),
    /// This machine cannot make a client, say because it has no CA certificates.
    #[error("cannot speak {scheme}: {reason}")]
    Client {
        /// `http` or `https`.
        scheme: &'static str,
        /// Why.
        reason: String,
    },
    /// No connection.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why, in the system's words.
        reason: String,
    },
    /// A server that is not the one it should be, as far as its certificate can tell.
    #[error("{host} is not trusted: {fault}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong.
        fault: TlsFault,
    },
    /// A connection that broke or fell silent.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// Amazon's registry hangs up instead of answering.
    #[error(
        "{host} hung up on an upload: the repository is missing, or there is no permission to upload to it"
    )]
    Ecr {
        /// Host.
        host: String,
    },
    /// An answer other than success.
    #[error("{host} answered {status}{}", detail(message))]
    Status {
        /// Host and port.
        host: String,
        /// The status.
        status: StatusCode,
        /// The registry's own `CODE: message`, or empty.
        message: String,
        /// `Retry-After`, where sent.
        retry_after: Option<Duration>,
        /// `WWW-Authenticate`, where sent by the host that was asked (not by one it redirected to).
        challenges: Vec<String>,
    },
    /// More than such an answer can have.
    #[error("{host} sends more than {limit} bytes where it should send few")]
    TooBig {
        /// Host and port.
        host: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A registry that wants a login which cannot be given.
    #[error("{host} wants a login: {reason}")]
    Login {
        /// Host and port.
        host: String,
        /// Why there is none.
        reason: String,
    },
    /// The user's credentials cannot be read.
    #[error("cannot read the credentials for {host}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        #[source]
        source: KeychainError,
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

impl HttpError {
    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                matches!(
                    status.as_u16(),
                    408 | 429 | 499 | 500 | 502 | 503 | 504 | 522
                )
            }
            _ => false,
        }
    }

    /// The status, where there was an answer.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The registry's code for what went wrong, as in `BLOB_UPLOAD_UNKNOWN`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Status { message, .. } => message.split(':').next().filter(|it| !it.is_empty()),
            _ => None,
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
            Self::Client {
                scheme: "https", ..
            } => {
                "apt-get install ca-certificates, or name your CA's certificates with --ca-cert or SSL_CERT_FILE"
            }
            Self::Tls { host, fault } => return fault.hint(host),
            Self::Unreachable { reason, .. } if reason.contains("tunnel error") => {
                "the proxy refused: check the user and password in HTTPS_PROXY, and NO_PROXY"
            }
            Self::Unreachable { reason, .. } if reason.contains("proxy") => {
                "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            }
            Self::Status { status, .. } if status.as_u16() == 407 => {
                "the proxy wants a login: HTTP_PROXY=http://USER:PASSWORD@HOST:PORT"
            }
            Self::Ecr { .. } => {
                "create the repository (aws ecr create-repository), and allow ecr:InitiateLayerUpload on it"
            }
            Self::Redirect { reason, .. } if reason.contains("from https to http") => {
                "the registry stands behind a proxy and does not know it: its administrator sets X-Forwarded-Proto"
            }
            Self::Login { host, .. } => {
                return Some(format!(
                    "log in to {host} (docker login {host}), or check that the repository exists"
                ));
            }
            Self::Credentials { source, .. } => return source.hint(),
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

/// No answer came.
pub(super) fn failure(request: &Request, url: &Url, error: &reqwest::Error) -> HttpError {
    let host = host(url);
    if let Some(fault) = TlsFault::of(error) {
        return HttpError::Tls { host, fault };
    }
    let reason = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "no connection in time".to_owned(),
        (false, true) => "no answer in time".to_owned(),
        (_, false) => deepest(error),
    };
    match error.is_connect() && !broke_off(error) {
        true => HttpError::Unreachable { host, reason },
        false if is_ecr_upload(request, url) && !error.is_timeout() => HttpError::Ecr { host },
        false => HttpError::Broken { host, reason },
    }
}

/// Amazon's registry closes the connection on an upload to a repository that is not there.
fn is_ecr_upload(request: &Request, url: &Url) -> bool {
    let is_ecr = |name: &str| name.contains(".dkr.ecr") && name.contains(".amazonaws.com");
    request.method == Method::POST
        && url.path().ends_with("/blobs/uploads/")
        && url.host_str().is_some_and(is_ecr)
}

/// An answer came, of another kind. `asked`: from the host that the request was for.
pub(super) fn refusal(url: &Url, response: Response, asked: bool) -> HttpError {
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

/// A registry's `{"errors": [{"code": …, "message": …}]}` or a token server's `{"details": …}`, or nothing: other
/// servers send pages, not messages.
pub(in crate::registry) fn message(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::new();
    };
    let error = &body["errors"][0];
    [&error["code"], &error["message"], &body["details"]]
        .into_iter()
        .filter_map(|part| Some(shortened(part.as_str()?)))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

/// A foreign text that may be shown on a terminal.
pub(in crate::registry) fn shortened(text: &str) -> String {
    let harmless = |c: &char| !c.is_control() && !is_direction(*c);
    text.chars().filter(harmless).take(SHOWN).collect()
}

/// Marks that change the order in which the text around them is shown.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn detail(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

/// The innermost cause: the only one that says something new, and the only one without the address.
pub(in crate::registry) fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    shortened(&error.to_string())
}

/// Whether the other side was there, and hung up.
fn broke_off(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let gone = [
        ConnectionReset,
        ConnectionAborted,
        BrokenPipe,
        UnexpectedEof,
    ];
    causes(error).any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| gone.contains(&error.kind()))
    })
}

/// The error and all of its causes, also those inside of `io::Error`s, whose `source` skips one.
pub(in crate::registry) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    fn next<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
        let error: &'e (dyn Error + 'static) = *error;
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref());
        match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), next)
}
