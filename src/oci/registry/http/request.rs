//! A request as a value, so that it can be sent again: after a redirect, after a login, after a failure.

use std::io::{self, Read};

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Url};

use crate::registry::Secret;

/// Opens a body's bytes from the beginning; called for each sending.
pub type Open<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync);

/// What is sent after the headers, always with its `Content-Length`.
#[derive(Clone, Copy, Default)]
pub(super) enum Body<'a> {
    #[default]
    Empty,
    Bytes(&'a [u8]),
    Stream {
        length: u64,
        open: Open<'a>,
    },
}

/// Where a request may be redirected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    /// Anywhere that [`Network`](crate::registry::Network) allows, without credentials if it is another origin.
    Follow,
    /// Within the host and port, if method and body stay the same (307, 308).
    SameOrigin,
    /// Nowhere.
    Never,
}

/// A request. GET and HEAD follow redirects; what sends something stays with its host.
#[derive(Clone)]
pub struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
    pub(super) authorization: Option<Secret>,
    pub(super) redirects: Redirects,
    repeatable: bool,
}

impl<'a> Request<'a> {
    fn new(method: Method, url: Url) -> Self {
        let reads = matches!(method, Method::GET | Method::HEAD);
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            authorization: None,
            redirects: if reads {
                Redirects::Follow
            } else {
                Redirects::SameOrigin
            },
            repeatable: reads,
        }
    }

    /// Asks for what is at an address.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Asks whether there is something.
    pub fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url)
    }

    /// Begins something.
    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// Puts something at an address.
    pub fn put(url: Url) -> Self {
        Self::new(Method::PUT, url)
    }

    /// Adds to what is at an address.
    pub fn patch(url: Url) -> Self {
        Self::new(Method::PATCH, url)
    }

    /// Removes what is at an address.
    pub fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// One header; a value with bytes that no header may have is sent empty.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
        self.headers.insert(name, value);
        self
    }

    /// The media types that are wanted.
    pub fn accept(self, media_types: &str) -> Self {
        self.header(ACCEPT, media_types)
    }

    /// The first byte that is wanted.
    pub fn from(mut self, offset: u64) -> Self {
        if offset > 0 {
            return self.header(RANGE, &format!("bytes={offset}-"));
        }
        self.headers.remove(RANGE);
        self
    }

    /// A small body.
    pub fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.body = Body::Bytes(bytes);
        self
    }

    /// A body of exactly `length` bytes, read as it is sent.
    pub fn stream(mut self, length: u64, open: Open<'a>) -> Self {
        self.body = Body::Stream { length, open };
        self
    }

    /// Says that sending it twice does no harm. Known of GET and HEAD; of others the caller has to know.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The value of `Authorization`; it goes to this request's host and port only.
    pub fn authorization(mut self, authorization: Option<Secret>) -> Self {
        self.authorization = authorization;
        self
    }

    pub(in crate::registry) fn never_redirected(mut self) -> Self {
        self.redirects = Redirects::Never;
        self
    }

    pub(in crate::registry) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    pub(in crate::registry) fn url(&self) -> &Url {
        &self.url
    }
}
