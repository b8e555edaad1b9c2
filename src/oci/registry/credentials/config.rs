//! The configuration file that docker and podman share, as far as it is about credentials.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Credentials;
use crate::registry::Secret;
use crate::registry::reference::canonical_host;

/// What docker calls Docker Hub, in its files and to its helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Some programs write the padding, and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::registry) struct Config {
    auths: Option<BTreeMap<String, Login>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Config {
    pub(in crate::registry) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        // Windows editors put a mark in front.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // A list would be taken for the fields in their order.
        serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(bytes)?;
        serde_json::from_slice(bytes)
    }

    /// The program to ask for a registry.
    pub(in crate::registry) fn helper(&self, registry: &str) -> Option<String> {
        let helpers = self.cred_helpers.iter().flatten();
        let own = best(helpers, registry, "").map(|(_, name)| name);
        let name = own.or(self.creds_store.as_ref())?;
        Some(name)
            .filter(|name| !name.is_empty())
            .map(|name| format!("docker-credential-{name}"))
    }

    /// The login that is in the file itself. The error is the key whose login is none.
    pub(in crate::registry) fn login(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credentials>, String> {
        // With a store, docker leaves empty entries behind.
        let logins = self.auths.iter().flatten().filter(|(_, it)| !it.is_empty());
        let Some((key, login)) = best(logins, registry, repository) else {
            return Ok(None);
        };
        login.credentials().map(Some).ok_or_else(|| key.clone())
    }
}

impl Login {
    fn is_empty(&self) -> bool {
        let Self {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        [auth, username, password, identitytoken, registrytoken]
            .into_iter()
            .flatten()
            .all(String::is_empty)
    }

    fn credentials(&self) -> Option<Credentials> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Some(Credentials::RegistryToken(Secret::new(token)));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Some(Credentials::IdentityToken(Secret::new(token)));
        }
        let (username, password) = match given(&self.auth) {
            Some(auth) => {
                let plain = String::from_utf8(BASE64.decode(auth.trim()).ok()?).ok()?;
                let (username, password) = plain.split_once(':')?;
                // Docker on Windows fills up with zeros.
                (username.to_owned(), password.trim_matches('\0').to_owned())
            }
            None => (given(&self.username)?, given(&self.password)?),
        };
        (!username.is_empty()).then(|| Credentials::Password {
            username,
            password: Secret::new(password),
        })
    }
}

/// What a helper is asked for.
pub(in crate::registry) fn server(registry: &str) -> &str {
    if canonical_host(registry) == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    }
}

/// The entry whose key fits best: the same host, and as much of the repository as possible.
fn best<'m, V>(
    entries: impl Iterator<Item = (&'m String, &'m V)>,
    registry: &str,
    repository: &str,
) -> Option<(&'m String, &'m V)> {
    let fitting =
        entries.filter_map(|(key, value)| Some((reach(key, registry, repository)?, key, value)));
    let best = fitting.max_by_key(|(reach, key, _)| (*reach, std::cmp::Reverse(*key)));
    best.map(|(_, key, value)| (key, value))
}

/// How much of a repository's name a key covers; `None` if it is for something else.
fn reach(key: &str, registry: &str, repository: &str) -> Option<usize> {
    let bare = key.strip_prefix("https://").or(key.strip_prefix("http://"));
    let bare = bare.unwrap_or(key).trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    if canonical_host(host) != canonical_host(registry) {
        return None;
    }
    match path {
        "" | "v1" | "v2" => Some(0),
        path => {
            let rest = repository.strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
        }
    }
}
