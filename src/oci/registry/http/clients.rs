//! The clients themselves. A client is made when the first address needs its kind: so plain http works on a machine
//! without any CA certificate, and an unusable proxy setting is an error only for who needs a proxy.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::{Certificate, Url, redirect};

use super::{HttpError, HttpOptions, deepest, shown};
use crate::registry::network::is_loopback;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tls {
    None,
    Verified,
    Insecure,
}

/// Each kind of client that was needed so far: how it does TLS, and whether it may use a proxy.
#[derive(Default)]
pub(super) struct Clients(Mutex<BTreeMap<(Tls, bool), Client>>);

/// For a server on this machine that answers when it is done: no time limit, no proxies, no TLS, no redirects.
pub fn loopback_client() -> reqwest::Result<Client> {
    let builder = client_builder().timeout(None).no_proxy();
    builder.tls_certs_only([]).build()
}

/// Whether a client can be made that trusts these.
pub(in crate::registry) fn trusts(certificates: &[Certificate]) -> bool {
    let certificates = certificates.iter().cloned();
    client_builder()
        .tls_certs_only(certificates)
        .build()
        .is_ok()
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

impl Clients {
    pub(super) fn client(&self, options: &HttpOptions, url: &Url) -> Result<Client, HttpError> {
        let (scheme, tls) = match url.scheme() {
            "https" if options.network.is_insecure(url) => ("https", Tls::Insecure),
            "https" => ("https", Tls::Verified),
            "http" => ("http", Tls::None),
            _ => return Err(HttpError::Address(shown(url))),
        };
        let kind = (tls, !is_loopback(url));
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = build(options, kind).map_err(|reason| HttpError::Client { scheme, reason })?;
        clients.insert(kind, client.clone());
        Ok(client)
    }
}

fn build(options: &HttpOptions, (tls, proxied): (Tls, bool)) -> Result<Client, String> {
    let mut builder = client_builder()
        .connect_timeout(options.connect_timeout)
        // For a blocking client this is the limit of each read, and of all that comes before the first one.
        .timeout(options.stall_timeout)
        // And this of each piece that is sent: it has to arrive on the other side.
        .tcp_user_timeout(options.stall_timeout)
        .referer(false)
        // No proxies but those of the settings.
        .no_proxy();
    if proxied {
        for rule in options.network.proxies.rules()? {
            builder = builder.proxy(rule);
        }
    }
    builder = match (tls, &options.network.ca) {
        // No roots to load.
        (Tls::None, _) => builder.tls_certs_only([]),
        (Tls::Insecure, _) => builder.tls_danger_accept_invalid_certs(true),
        (Tls::Verified, Some(ca)) => builder.tls_certs_merge(ca.certificates().iter().cloned()),
        (Tls::Verified, None) => builder,
    };
    builder.build().map_err(|error| deepest(&error))
}
