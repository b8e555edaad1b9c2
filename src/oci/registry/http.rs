//! HTTP as this project speaks it: the one place where clients are made. Comes in a request, goes out a response whose
//! status is a success, or a typed error that never shows credentials or the query of an address.
//!
//! Redirects are followed here, hop by hop: at most ten, never from https to http, never into the local network from
//! outside, and `Authorization` does not go to another host, port or scheme than the request was for. Bodies are not
//! decompressed: digests are of what is sent.

mod clients;
mod error;
mod request;
mod watched;

use std::io::Read as _;
use std::time::Duration;

use reqwest::blocking::Response;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

pub use clients::loopback_client;
pub(super) use clients::trusts;
pub use error::HttpError;
#[cfg(any(test, fuzzing))]
pub(super) use error::message;
pub(super) use error::{causes, deepest, shortened};
pub use request::{Open, Request};

use super::Network;
use super::retry::{Clock, once_or_again};
use clients::Clients;
use request::{Body, Redirects};

const MAX_HOPS: usize = 10;

/// How long to wait, how often to try again, and through what network.
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
    /// After this much time without progress nothing is tried again.
    pub patience: Duration,
    /// Tells the time and sleeps.
    pub clock: Clock,
    /// Hosts, CAs, proxies, credentials.
    pub network: Network,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            patience: Duration::from_secs(10 * 60),
            clock: Clock::default(),
            network: Network::default(),
        }
    }
}

/// A client; cheap to keep, made once per run.
pub struct Http {
    options: HttpOptions,
    clients: Clients,
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
            clients: Clients::default(),
        }
    }

    /// How this client waits and repeats.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Sends a request once; only a success is `Ok`.
    pub fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        let mut on_origin = true;
        for _ in 0..=MAX_HOPS {
            let response = self.hop(request, &url, on_origin)?;
            if response.status().is_success() {
                return Ok(response);
            }
            if !is_followed(request, &response) {
                let asked = same_origin(&url, &request.url);
                return Err(error::refusal(&url, response, asked));
            }
            let network = &self.options.network;
            let next = network.next_hop(&request.url, &url, response.headers())?;
            if !same_origin(&next, &url) {
                if request.redirects == Redirects::SameOrigin {
                    let reason = format!("what is sent to it to {}", host(&next));
                    let host = host(&url);
                    return Err(HttpError::Redirect { host, reason });
                }
                on_origin = false;
            }
            url = next;
        }
        Err(HttpError::Redirect {
            host: host(&request.url),
            reason: format!("more than {MAX_HOPS} times"),
        })
    }

    /// Sends a request, again if it may be repeated, and reads all of its answer, which has at most `limit` bytes.
    pub fn read(&self, request: &Request, limit: u64) -> Result<Answer, HttpError> {
        once_or_again(&self.options, request, || {
            collect(self.send(request)?, limit)
        })
    }

    /// One request to one address; `Authorization` is for the origin only.
    fn hop(&self, request: &Request, url: &Url, on_origin: bool) -> Result<Response, HttpError> {
        let client = self.clients.client(&self.options, url)?;
        let mut hop = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = request.authorization.as_ref().filter(|_| on_origin) {
            hop = hop.header(AUTHORIZATION, authorization.header());
        }
        let broken = |reason: &str| HttpError::Broken {
            host: host(url),
            reason: shortened(reason),
        };
        let result = match request.body {
            // POST, PUT and PATCH say that they bring nothing; GET and HEAD have no body at all.
            Body::Empty if request.redirects == Redirects::SameOrigin => {
                hop.body(Vec::new()).send()
            }
            Body::Empty => hop.send(),
            Body::Bytes(bytes) => hop.body(bytes.to_vec()).send(),
            Body::Stream { length, open } => {
                let reader = open().map_err(|error| broken(&error.to_string()))?;
                let stall = self.options.stall_timeout;
                watched::send(hop, length, reader, stall)
                    .ok_or_else(|| broken("what is sent does not arrive"))?
            }
        };
        result.map_err(|error| self.explained(error::failure(request, url, &error), url))
    }

    /// Says that there is a proxy in between, which may be to blame.
    fn explained(&self, error: HttpError, url: &Url) -> HttpError {
        match error {
            HttpError::Unreachable { host, reason } if !super::network::is_loopback(url) => {
                let proxy = self.options.network.proxies.shown(url);
                let reason = match proxy {
                    Some(proxy) => format!("{reason} (the proxy is {proxy})"),
                    None => reason,
                };
                HttpError::Unreachable { host, reason }
            }
            error => error,
        }
    }
}

fn is_followed(request: &Request, response: &Response) -> bool {
    let status = response.status();
    let fits = match request.redirects {
        Redirects::Follow => status.is_redirection(),
        Redirects::SameOrigin => matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        ),
        Redirects::Never => false,
    };
    fits && response.headers().contains_key(LOCATION)
}

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, 201, 202, 204.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads a body; more than `limit` bytes are an error, and so is a body that breaks off.
pub(super) fn collect(response: Response, limit: u64) -> Result<Answer, HttpError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let host = host(response.url());
    let mut body = Vec::new();
    match response.take(limit + 1).read_to_end(&mut body) {
        Ok(_) if body.len() as u64 > limit => Err(HttpError::TooBig { host, limit }),
        Ok(_) => Ok(Answer {
            status,
            headers,
            body,
        }),
        Err(error) => Err(HttpError::Broken {
            host,
            reason: deepest(&error),
        }),
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

pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

#[cfg(test)]
mod tests;
