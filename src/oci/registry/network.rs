//! How the user wants the network to be used: which hosts speak plain http, whom to trust, which proxies, which
//! credentials. And which addresses a server may send a client to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{NoProxy, Proxy, Url};

use super::credentials::Keychain;
use super::http::{HttpError, host, same_origin};
use super::tls::CaCertificates;
use super::{Reference, Secret};

/// Settings of the network, the same for every command.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Hosts (with their port) that speak http.
    pub plain_http: BTreeSet<String>,
    /// Hosts (with their port) whose certificates are not verified.
    pub insecure: BTreeSet<String>,
    /// Trusted beside the system's. A registry on this machine is then spoken to over https, too.
    pub ca: Option<CaCertificates>,
    /// Proxies.
    pub proxies: Proxies,
    /// The user's logins.
    pub keychain: Keychain,
}

/// Proxies for hosts other than this machine.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For http addresses: the variable it comes from, and its value.
    pub http: Option<(&'static str, Secret)>,
    /// For https addresses.
    pub https: Option<(&'static str, Secret)>,
    /// Names, domains and addresses that are asked directly, separated by commas.
    pub no_proxy: String,
}

impl Network {
    /// Where a registry's API is.
    pub(super) fn api(&self, reference: &Reference) -> Option<Url> {
        let (http, https) = (reference.api(true)?, reference.api(false)?);
        let tls = self.ca.is_some() || lists(&self.insecure, &https);
        match lists(&self.plain_http, &http) || is_loopback(&http) && !tls {
            true => Some(http),
            false => Some(https),
        }
    }

    pub(super) fn is_insecure(&self, url: &Url) -> bool {
        lists(&self.insecure, url)
    }

    /// Where `headers`, an answer of `url` on behalf of `asked`, send the client.
    pub(super) fn next_hop(
        &self,
        asked: &Url,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Url, HttpError> {
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
            ("https", "http") => return Err(refuse("from https to http")),
            (_, "http" | "https") => {}
            _ => return Err(refuse("to neither http nor https")),
        }
        if !next.username().is_empty() || next.password().is_some() {
            return Err(refuse("to an address with a user in it"));
        }
        if !self.may_lead(asked, &next) {
            let target = host(&next);
            return Err(refuse(&format!("to {target}, an internal address")));
        }
        Ok(next)
    }

    /// Whether a server may send this machine to `next`: not into the local network, unless it is there itself or the
    /// user names the host.
    pub(super) fn may_lead(&self, asked: &Url, next: &Url) -> bool {
        !is_internal(next) || is_internal(asked) || self.names(next)
    }

    /// Whether the user wrote this host down.
    pub(super) fn names(&self, url: &Url) -> bool {
        lists(&self.plain_http, url) || lists(&self.insecure, url)
    }
}

/// Whether one of the hosts, with the scheme's port if none is written, is the address's.
fn lists(hosts: &BTreeSet<String>, url: &Url) -> bool {
    let address = |host: &String| Url::parse(&format!("{}://{host}/", url.scheme()));
    let mut hosts = hosts.iter().map(address);
    hosts.any(|listed| listed.is_ok_and(|listed| same_origin(&listed, url)))
}

impl Proxies {
    /// For reqwest, which also takes user and password from them.
    pub(super) fn rules(&self) -> Result<Vec<Proxy>, String> {
        let no_proxy = NoProxy::from_string(&self.no_proxy);
        let mut rules = Vec::new();
        let make: [fn(Url) -> reqwest::Result<Proxy>; 2] = [Proxy::http, Proxy::https];
        for (setting, make) in [&self.http, &self.https].into_iter().zip(make) {
            let Some((variable, value)) = setting else {
                continue;
            };
            let proxy = proxy_url(value.expose()).and_then(|url| make(url).ok());
            let proxy = proxy.ok_or_else(|| {
                format!("{variable} is not the address of an http or https proxy")
            })?;
            rules.push(proxy.no_proxy(no_proxy.clone()));
        }
        Ok(rules)
    }

    /// Host and port of the proxy for an address, if NO_PROXY does not say otherwise.
    pub(super) fn shown(&self, url: &Url) -> Option<String> {
        let setting = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let (_, value) = setting.as_ref()?;
        proxy_url(value.expose()).map(|url| host(&url))
    }
}

fn proxy_url(text: &str) -> Option<Url> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.ok().filter(usable)
}

/// This machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    match literal(name) {
        Some(ip) => ip.is_loopback(),
        None => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// This machine, or an address of the local network: private, link-local, or none at all.
pub(super) fn is_internal(url: &Url) -> bool {
    if is_loopback(url) {
        return true;
    }
    match literal(url.host_str().unwrap_or_default()) {
        Some(IpAddr::V4(ip)) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || shared
        }
        Some(IpAddr::V6(ip)) => {
            ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        None => false,
    }
}

fn literal(name: &str) -> Option<IpAddr> {
    let ip: IpAddr = name.trim_matches(['[', ']']).parse().ok()?;
    Some(ip.to_canonical())
}
