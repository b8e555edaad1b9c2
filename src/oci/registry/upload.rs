//! One blob into one repository: mounted from another repository of the registry, sent whole, or, where that is refused or
//! breaks off, sent in pieces from where the registry has it. The bytes are hashed on their way, and the last of them are
//! held back when the digest is wrong, so that the registry never has a damaged blob.

mod body;

use std::io::{self, Read};
use std::sync::Arc;

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{StatusCode, Url};

use super::auth::Access;
use super::endpoint::Endpoint;
use super::http::{HttpError, Request};
use super::push::PushError;
use super::retry::Attempts;
use super::{Descriptor, Outcome, Watch};
use crate::Digest;
use body::Body;

/// Small enough for registries that limit a request, large enough to be few.
const CHUNK: u64 = 4 << 20;
/// A registry that wants larger pieces than this is not served in pieces.
const MAX_CHUNK: u64 = 64 << 20;
/// How often an upload is begun anew because the registry forgot it or its bytes were wrong.
const MAX_STARTS: u32 = 4;
/// What a registry sends that wants another way than the whole blob at once.
const REFUSALS: [u16; 5] = [405, 411, 413, 415, 501];

const OCTETS: &str = "application/octet-stream";

/// Opens a blob's bytes at an offset; called again for each attempt, also on other threads.
pub type OpenBlob = Arc<dyn Fn(u64) -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// One blob on its way.
pub(super) struct Upload<'a> {
    pub endpoint: &'a Endpoint<'a>,
    pub repository: &'a str,
    pub blob: &'a Descriptor,
    pub open: OpenBlob,
    pub watch: Arc<dyn Watch>,
}

/// Where the registry expects the bytes.
struct Session {
    url: Url,
    /// The smallest piece that it takes.
    least: u64,
}

enum Started {
    Mounted(String),
    Session(Session),
}

/// What went wrong with an attempt.
enum Failure {
    Http(HttpError),
    /// Our own fault: no attempt can help.
    Final(PushError),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl Upload<'_> {
    /// Brings the blob there; it is known to be missing. `mount_from` are repositories that may have it.
    pub fn run(&self, mount_from: &[String]) -> Result<Outcome, PushError> {
        let mut session = match self.start(mount_from)? {
            Started::Mounted(from) => return Ok(Outcome::Mounted(from)),
            Started::Session(session) => Some(session),
        };
        let whole_only = is_ecr(&self.endpoint.host());
        let mut attempts = Attempts::new(self.endpoint.http().options());
        let mut starts = 1;
        let mut whole = true;
        let mut breaks = 0;
        let mut checked = false;
        // What the registry said that it has; counts only within a session.
        let mut there = 0;
        loop {
            let before = there;
            let mut at = match session.take() {
                Some(session) => session,
                None => {
                    there = 0;
                    self.session()?
                }
            };
            let attempt = if whole && there == 0 {
                self.whole(&at)
            } else {
                if !std::mem::replace(&mut checked, true) {
                    self.check()?;
                }
                self.pieces(&mut at, &mut there)
            };
            let error = match attempt {
                Ok(()) => return Ok(Outcome::Sent),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Http(error)) => error,
            };
            let refused = error
                .status()
                .is_some_and(|status| REFUSALS.contains(&status.as_u16()));
            let forgotten = is_forgotten(&error);
            if whole && refused && !whole_only {
                whole = false;
            } else if forgotten && starts < MAX_STARTS {
                // A session that is gone, or that has other bytes than was thought: from the beginning.
                starts += 1;
                self.forget(&at);
                continue;
            } else if !attempts.again(&error, there > before) {
                return Err(PushError::blob(self.blob, error));
            } else if self.exists()? {
                // The answer was lost, not the blob.
                return Ok(Outcome::Sent);
            } else {
                breaks += 1;
                // A registry that drops what broke off never gets a large blob whole over a bad line.
                whole = whole && (whole_only || breaks < 3);
            }
            if !whole_only
                && let Ok((url, have)) = self.progress(&at)
                && have > 1
            {
                there = have;
                session = Some(Session { url, ..at });
            } else {
                // Both nothing and the first byte are said as 0-0.
                there = 0;
            }
        }
    }

    /// A session, or no need for one.
    fn start(&self, mount_from: &[String]) -> Result<Started, PushError> {
        for (i, from) in mount_from.iter().enumerate() {
            let access = Access::push(self.repository).and_pull(from);
            let path = format!("blobs/uploads/?mount={}&from={from}", self.blob.digest);
            let url = self.endpoint.url(self.repository, &path)?;
            match self
                .endpoint
                .send(&access, &Request::post(url).repeatable())
            {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    return Ok(Started::Mounted(from.clone()));
                }
                Ok(response) => {
                    let session = self.session_of(&response)?;
                    if i + 1 == mount_from.len() {
                        return Ok(Started::Session(session));
                    }
                    self.forget(&session);
                }
                // A registry that refuses to mount may still take the bytes.
                Err(HttpError::Status { .. } | HttpError::Login { .. }) => {}
                Err(error) => return Err(PushError::blob(self.blob, error)),
            }
        }
        self.session().map(Started::Session)
    }

    fn session(&self) -> Result<Session, PushError> {
        let url = self.endpoint.url(self.repository, "blobs/uploads/")?;
        let request = Request::post(url).repeatable();
        let response = self.endpoint.send(&self.access(), &request);
        let response = response.map_err(|error| PushError::blob(self.blob, error))?;
        Ok(self.session_of(&response)?)
    }

    fn session_of(&self, response: &Response) -> Result<Session, HttpError> {
        let least = response.headers().get("oci-chunk-min-length");
        let least = least.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Session {
            url: self.endpoint.location(response)?,
            least: least.unwrap_or(0),
        })
    }

    /// One PUT with all bytes.
    fn whole(&self, session: &Session) -> Result<(), Failure> {
        let body = self.body(0, self.blob.size);
        let open = || body.open();
        let request = Request::put(self.complete(&session.url))
            .header(CONTENT_TYPE, OCTETS)
            .stream(self.blob.size, &open);
        body.judge(self.endpoint.once(&self.access(), &request))?;
        Ok(())
    }

    /// Pieces from `there` on, then an empty PUT.
    fn pieces(&self, session: &mut Session, there: &mut u64) -> Result<(), Failure> {
        let chunk = CHUNK.max(session.least);
        if chunk > MAX_CHUNK {
            return Err(Failure::Final(PushError::Chunk {
                host: self.endpoint.host(),
                least: session.least,
            }));
        }
        while *there < self.blob.size {
            let end = self.blob.size.min(*there + chunk);
            let body = self.body(*there, end);
            let open = || body.open();
            let request = Request::patch(session.url.clone())
                .header(CONTENT_TYPE, OCTETS)
                .header(CONTENT_RANGE, &format!("{there}-{}", end - 1))
                .stream(end - *there, &open);
            let response = body.judge(self.endpoint.once(&self.access(), &request))?;
            let have = received(&response).unwrap_or(end);
            if !(*there + 1..=end).contains(&have) {
                return Err(Failure::Final(PushError::Range {
                    host: self.endpoint.host(),
                    expected: end,
                    got: have,
                }));
            }
            *there = have;
            session.url = self.endpoint.location(&response)?;
        }
        let request = Request::put(self.complete(&session.url)).bytes(b"");
        self.endpoint.once(&self.access(), &request)?;
        Ok(())
    }

    /// What the registry has of a session, and where the session goes on.
    fn progress(&self, session: &Session) -> Result<(Url, u64), HttpError> {
        let request = Request::get(session.url.clone());
        let response = self.endpoint.once(&self.access(), &request)?;
        let next = response.headers().contains_key(LOCATION);
        let next = next
            .then(|| self.endpoint.location(&response))
            .transpose()?;
        let have = received(&response).unwrap_or(0);
        Ok((
            next.unwrap_or_else(|| session.url.clone()),
            have.min(self.blob.size),
        ))
    }

    /// Pieces are not hashed one by one: all of it, before the first.
    fn check(&self) -> Result<(), PushError> {
        let expected = (self.blob.digest, self.blob.size);
        match (self.open)(0).and_then(Digest::of_reader) {
            Ok(got) if got == expected => Ok(()),
            Ok((got, got_size)) => Err(PushError::Damaged {
                expected: self.blob.digest,
                expected_size: self.blob.size,
                got,
                got_size,
            }),
            Err(source) => Err(PushError::Read {
                digest: self.blob.digest,
                source,
            }),
        }
    }

    fn exists(&self) -> Result<bool, PushError> {
        super::push::has_blob(self.endpoint, self.repository, self.blob)
    }

    /// Ends a session that is not used.
    fn forget(&self, session: &Session) {
        // It would time out by itself.
        let _ = self
            .endpoint
            .once(&self.access(), &Request::delete(session.url.clone()));
    }

    /// The address of a session with the digest that ends it; what stands in its query already stays there.
    fn complete(&self, session: &Url) -> Url {
        let mut url = session.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.blob.digest.to_string());
        url
    }

    fn body(&self, from: u64, to: u64) -> Body {
        Body::new(self.blob, from..to, self.open.clone(), self.watch.clone())
    }

    fn access(&self) -> Access {
        Access::push(self.repository)
    }
}

/// Whether the registry does not know the session, or has other bytes in it.
fn is_forgotten(error: &HttpError) -> bool {
    let codes = [
        "BLOB_UPLOAD_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "DIGEST_INVALID",
        "SIZE_INVALID",
    ];
    let status = error.status();
    status == Some(StatusCode::NOT_FOUND)
        || status == Some(StatusCode::RANGE_NOT_SATISFIABLE)
        || error.code().is_some_and(|code| codes.contains(&code))
}

/// The end of `Range: 0-N`: how many bytes there are.
fn received(response: &Response) -> Option<u64> {
    parse_range(response.headers().get(RANGE)?.to_str().ok()?)
}

pub(super) fn parse_range(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (first, last) = range.split_once('-')?;
    (first == "0").then(|| last.parse::<u64>().ok()?.checked_add(1))?
}

/// Amazon's registry takes a blob whole only: of several pieces it silently keeps the first.
fn is_ecr(host: &str) -> bool {
    let host = host.split(':').next().unwrap_or_default();
    let parts: Vec<&str> = host.split('.').collect();
    matches!(
        parts.as_slice(),
        [_, "dkr", "ecr" | "ecr-fips", _, "amazonaws", "com", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_registries() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "1.dkr.ecr-fips.us-gov-west-1.amazonaws.com:443",
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_ecr(host), "{host}");
        }
        for host in [
            "public.ecr.aws",
            "dkr.ecr.example",
            "1.dkr.ecr.x.amazonaws.org",
        ] {
            assert!(!is_ecr(host), "{host}");
        }
    }
}
