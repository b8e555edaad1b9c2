//! Logging in to a registry: comes in its challenge and what is to be done, goes out a value for `Authorization`. Reads
//! no configuration: credentials come from the caller.
//!
//! Whoever logs in sends the user's credentials to the address that the registry names for it, its realm. A realm is
//! asked only over https (over http if the registry itself speaks http, and the realm is on its host or named by the
//! user), has no user in its address, is not in the local network unless it is on the registry's own host, and is not
//! followed to another place.

pub(super) mod challenge;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::http::{Http, HttpError, Request, host, shortened};
use super::network::{Network, is_internal};
use super::{Credentials, Secret};
use challenge::Challenge;

/// More than any token, less than what hurts.
const MAX_ANSWER: u64 = 1 << 20;
/// What the token specification guarantees where the server does not say, and the least that is believed.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// What is to be done in a registry: a set of token scopes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access(BTreeSet<String>);

impl Access {
    /// Reading in a repository.
    pub fn pull(repository: &str) -> Self {
        Self(BTreeSet::from([format!("repository:{repository}:pull")]))
    }

    /// Reading and writing in a repository.
    pub fn push(repository: &str) -> Self {
        Self(BTreeSet::from([format!(
            "repository:{repository}:pull,push"
        )]))
    }

    /// And reading in another one, as mounting a blob from there needs.
    pub fn and_pull(mut self, repository: &str) -> Self {
        self.0.insert(format!("repository:{repository}:pull"));
        self
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// With what a registry says that is missing.
    fn and(&self, scope: Option<&str>) -> Self {
        let mut all = self.clone();
        let more = scope.unwrap_or_default().split(' ');
        all.0
            .extend(more.filter(|it| !it.is_empty()).map(str::to_owned));
        all
    }
}

/// What a registry said that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A token of a server.
    Token {
        realm: Url,
        service: Option<String>,
        /// What the last token lacked.
        missing: Option<String>,
    },
    /// User and password.
    Password,
}

/// The value of `Authorization`, and how long it is good for if that is known.
pub(super) struct Login {
    pub(super) authorization: Secret,
    pub(super) life: Option<Duration>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
}

impl Wanted {
    /// Of the challenges that the registry at `api` sent.
    pub(super) fn of(challenges: &[String], api: &Url, network: &Network) -> Result<Self, String> {
        let challenges: Vec<Challenge> = challenges
            .iter()
            .flat_map(|text| challenge::parse(text))
            .collect();
        let of_scheme = |scheme: &str| challenges.iter().find(|it| it.scheme == scheme);
        if let Some(bearer) = of_scheme("bearer") {
            let realm = check_realm(api, bearer.get("realm").unwrap_or_default(), network)
                .map_err(|reason| format!("its token server {reason}"))?;
            let lacks = bearer.get("error") == Some("insufficient_scope");
            return Ok(Self::Token {
                realm,
                service: bearer.get("service").map(str::to_owned),
                missing: bearer.get("scope").filter(|_| lacks).map(str::to_owned),
            });
        }
        match of_scheme("basic") {
            Some(_) => Ok(Self::Password),
            None => Err("it names no way to log in that is spoken here".to_owned()),
        }
    }

    /// Without what concerns one request.
    pub(super) fn in_general(mut self) -> Self {
        if let Self::Token { missing, .. } = &mut self {
            *missing = None;
        }
        self
    }

    /// Whether a login for one serves the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.clone().in_general() == other.clone().in_general()
    }

    /// Gets what the registry `api` wants for `access`.
    pub(super) fn answer(
        &self,
        http: &Http,
        api: &Url,
        access: &Access,
        credentials: Option<&Credentials>,
    ) -> Result<Login, HttpError> {
        let refuse = |reason: &str| HttpError::Login {
            host: host(api),
            reason: reason.to_owned(),
        };
        match (self, credentials) {
            (_, Some(Credentials::RegistryToken(token))) => Ok(Login {
                authorization: bearer(token.expose()),
                life: None,
            }),
            (Self::Password, Some(Credentials::Password { username, password })) => Ok(Login {
                authorization: basic(username, password),
                life: None,
            }),
            (Self::Password, Some(Credentials::IdentityToken(_))) => {
                Err(refuse("it wants a password; there is only a token for it"))
            }
            (Self::Password, None) => Err(refuse("no user and password are known for it")),
            (
                Self::Token {
                    realm,
                    service,
                    missing,
                },
                credentials,
            ) => {
                let access = access.and(missing.as_deref());
                token(http, realm, service.as_deref(), &access, credentials).map_err(|error| {
                    let status = error.status();
                    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]
                        .map(Some)
                        .contains(&status);
                    match refused {
                        true => refuse(&match credentials {
                            Some(_) => format!("the login for it is refused: {error}"),
                            None => format!("no login is known for it: {error}"),
                        }),
                        false => error,
                    }
                })
            }
        }
    }
}

fn token(
    http: &Http,
    realm: &Url,
    service: Option<&str>,
    access: &Access,
    credentials: Option<&Credentials>,
) -> Result<Login, HttpError> {
    let host = host(realm);
    let mut url = realm.clone();
    let form;
    // A token server that sends elsewhere would send the credentials elsewhere.
    let request = if let Some(Credentials::IdentityToken(token)) = credentials {
        form = oauth_form(service, access, token);
        Request::post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .bytes(form.expose().as_bytes())
            .repeatable()
    } else {
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in access.scopes() {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        let authorization = match credentials {
            Some(Credentials::Password { username, password }) => Some(basic(username, password)),
            _ => None,
        };
        Request::get(url).authorization(authorization)
    };
    let answer = http.read(&request.never_redirected(), MAX_ANSWER)?;
    let refuse = |reason: &str| HttpError::Login {
        host: host.clone(),
        reason: reason.to_owned(),
    };
    let answer: Token =
        serde_json::from_slice(&answer.body).map_err(|_| refuse("its answer is not a token"))?;
    let token = [answer.token, answer.access_token];
    let token = token.into_iter().flatten().find(|token| !token.is_empty());
    let token = token.ok_or_else(|| refuse("its answer holds no token"))?;
    if token.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(refuse("its token has bytes that no header may have"));
    }
    let seconds = answer.expires_in.unwrap_or_default();
    let life = Duration::from_secs(seconds.try_into().unwrap_or_default()).max(SHORTEST_LIFE);
    Ok(Login {
        authorization: bearer(&token),
        life: Some(life),
    })
}

/// OAuth 2: a refresh token for an access token.
fn oauth_form(service: Option<&str>, access: &Access, token: &Secret) -> Secret {
    let scopes: Vec<&str> = access.scopes().collect();
    let mut url = Url::parse("form:").expect("a constant");
    url.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "imgbuild")
        .append_pair("service", service.unwrap_or_default())
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", token.expose());
    Secret::new(url.query().unwrap_or_default())
}

fn basic(username: &str, password: &Secret) -> Secret {
    let plain = format!("{username}:{}", password.expose());
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(plain)))
}

fn bearer(token: &str) -> Secret {
    Secret::new(format!("Bearer {token}"))
}

/// The token server is named by the registry; it may not turn this machine into a tool against its own network, nor
/// make it show the user's password to whoever listens.
fn check_realm(api: &Url, realm: &str, network: &Network) -> Result<Url, String> {
    let url = Url::parse(realm).map_err(|_| format!("{:?} is not an address", shortened(realm)))?;
    let trusted = url.host() == api.host() || network.names(&url);
    if url.scheme() != "https" && !(url.scheme() == "http" && api.scheme() == "http" && trusted) {
        return Err(format!("{} is not asked over {}", host(&url), url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user in its address".to_owned());
    }
    if !trusted && is_internal(&url) {
        return Err(format!("is an internal address, {}", host(&url)));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
