//! One registry's API, and the way in: comes in a request and what it is to be allowed, goes out the answer. Logs in when
//! the registry asks for it, once per set of scopes, and again when a login has run out. Threads may share it: one logs
//! in, the others wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::blocking::Response;
use reqwest::{StatusCode, Url};

use super::auth::{Access, Login, Wanted};
use super::http::{Answer, Http, HttpError, Request, collect, host, same_origin};
use super::retry::once_or_again;
use super::{Credentials, Reference, Secret};

/// A registry's API.
pub struct Endpoint<'h> {
    http: &'h Http,
    reference: Reference,
    api: Url,
    state: Mutex<State>,
}

/// What is known of the way in.
#[derive(Default)]
struct State {
    wanted: Option<Wanted>,
    /// Looked up when they are wanted for the first time; `Some(None)` is nobody.
    credentials: Option<Option<Credentials>>,
    logins: BTreeMap<Access, Kept>,
}

struct Kept {
    authorization: Secret,
    /// By the clock of the options.
    until: Option<Duration>,
}

impl<'h> Endpoint<'h> {
    /// The registry of `reference`; its repository helps to choose the user's credentials. Touches nothing yet.
    pub fn new(http: &'h Http, reference: &Reference) -> Result<Self, HttpError> {
        let api = http.options().network.api(reference);
        let api = api.ok_or_else(|| HttpError::Address(reference.registry().to_owned()))?;
        Ok(Self {
            http,
            reference: reference.clone(),
            api,
            state: Mutex::default(),
        })
    }

    /// The client, with its options.
    pub fn http(&self) -> &'h Http {
        self.http
    }

    /// The host and port that are asked.
    pub fn host(&self) -> String {
        host(&self.api)
    }

    /// Something of a repository, as in `manifests/latest`.
    pub fn url(&self, repository: &str, path: &str) -> Result<Url, HttpError> {
        let url = self.api.join(&format!("{repository}/{path}"));
        url.map_err(|_| HttpError::Address(format!("{}/{repository}", self.host())))
    }

    /// Sends a request once, or twice if it takes a login. To another origin it goes without any.
    pub fn once(&self, access: &Access, request: &Request) -> Result<Response, HttpError> {
        if !same_origin(request.url(), &self.api) {
            return self.http.send(&request.clone().authorization(None));
        }
        let used = self.login(access)?;
        let challenges = match self.http.send(&request.clone().authorization(used.clone())) {
            Err(HttpError::Status {
                status, challenges, ..
            }) if status.as_u16() == 401 && !challenges.is_empty() => challenges,
            result => return result,
        };
        let fresh = self.log_in(access, &challenges, used.as_ref())?;
        let result = self.http.send(&request.clone().authorization(Some(fresh)));
        result.map_err(|error| match error.status() {
            Some(StatusCode::UNAUTHORIZED) => self.refused(&error),
            _ => error,
        })
    }

    /// A login was not enough.
    fn refused(&self, error: &HttpError) -> HttpError {
        let reason = match &self.state().credentials {
            Some(Some(_)) => "the login for it is refused",
            _ => "no login is known for it",
        };
        HttpError::Login {
            host: self.host(),
            reason: format!("{reason}: {error}"),
        }
    }

    /// Sends a request, and again after a pause if it may be repeated and that may help.
    pub fn send(&self, access: &Access, request: &Request) -> Result<Response, HttpError> {
        once_or_again(self.http.options(), request, || self.once(access, request))
    }

    /// Sends a request and reads all of its answer, which has at most `limit` bytes.
    pub fn read(
        &self,
        access: &Access,
        request: &Request,
        limit: u64,
    ) -> Result<Answer, HttpError> {
        once_or_again(self.http.options(), request, || {
            collect(self.once(access, request)?, limit)
        })
    }

    /// Where an upload goes on: the `Location` of an answer. It may be another host, which then gets no credentials.
    pub fn location(&self, response: &Response) -> Result<Url, HttpError> {
        let network = &self.http.options().network;
        network.next_hop(&self.api, response.url(), response.headers())
    }

    /// What is known to be wanted, without being told again.
    fn login(&self, access: &Access) -> Result<Option<Secret>, HttpError> {
        let mut state = self.state();
        let now = self.http.options().clock.now();
        match state.logins.get(access) {
            Some(kept) if kept.until.is_none_or(|until| now < until) => {
                return Ok(Some(kept.authorization.clone()));
            }
            _ => state.logins.remove(access),
        };
        match state.wanted.clone() {
            Some(wanted) => self.answer(&mut state, &wanted, access).map(Some),
            None => Ok(None),
        }
    }

    /// After a refusal of `used`.
    fn log_in(
        &self,
        access: &Access,
        challenges: &[String],
        used: Option<&Secret>,
    ) -> Result<Secret, HttpError> {
        let mut state = self.state();
        if let Some(kept) = state.logins.get(access)
            && used != Some(&kept.authorization)
        {
            // Another thread was here in the meantime.
            return Ok(kept.authorization.clone());
        }
        let network = &self.http.options().network;
        let wanted =
            Wanted::of(challenges, &self.api, network).map_err(|reason| HttpError::Login {
                host: self.host(),
                reason,
            })?;
        if state
            .wanted
            .as_ref()
            .is_some_and(|known| !known.is_same(&wanted))
        {
            state.logins.clear();
        }
        self.answer(&mut state, &wanted, access)
    }

    fn answer(
        &self,
        state: &mut State,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<Secret, HttpError> {
        let credentials = match &state.credentials {
            Some(known) => known.clone(),
            None => {
                let keychain = &self.http.options().network.keychain;
                let found = keychain.credentials(&self.reference).map_err(|source| {
                    HttpError::Credentials {
                        host: self.reference.registry().to_owned(),
                        source,
                    }
                })?;
                state.credentials.insert(found).clone()
            }
        };
        let Login {
            authorization,
            life,
        } = wanted.answer(self.http, &self.api, access, credentials.as_ref())?;
        state.wanted = Some(wanted.clone().in_general());
        let now = self.http.options().clock.now();
        state.logins.insert(
            access.clone(),
            Kept {
                authorization: authorization.clone(),
                until: life.map(|life| now + life),
            },
        );
        Ok(authorization)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
