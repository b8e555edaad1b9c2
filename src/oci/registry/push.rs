//! Pushing: comes in documents and a way to open blobs, goes out a tag that leads to them. First every missing blob, then
//! the manifests, the one asked for last; a tag moves when everything below it is there.

use std::io;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::auth::Access;
use super::endpoint::Endpoint;
use super::http::{HttpError, Request};
use super::manifest::ACCEPT;
use super::upload::{OpenBlob, Upload};
use super::{Descriptor, Document, Graph, Outcome, Watch};
use crate::Digest;
use crate::parallel::in_parallel;

/// Questions at a time.
const QUESTIONS: usize = 8;
/// Blobs on their way at a time.
const UPLOADS: usize = 4;

/// A push, before it is done.
pub struct Push<'a> {
    /// The way in.
    pub endpoint: &'a Endpoint<'a>,
    /// The repository that receives the image.
    pub repository: &'a str,
    /// What is pushed.
    pub graph: &'a Graph,
    /// Opens the blobs of `graph`; called for those that are missing.
    pub open: &'a (dyn Fn(&Descriptor) -> io::Result<OpenBlob> + Sync),
    /// Repositories of the same registry that may have some of the blobs.
    pub mount_from: &'a [String],
    /// Hears how it goes.
    pub watch: Arc<dyn Watch>,
}

/// What a push did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were there already.
    pub there: usize,
    /// Blobs taken from other repositories.
    pub mounted: usize,
    /// Blobs sent.
    pub sent: usize,
    /// Bytes of the blobs sent.
    pub bytes: u64,
    /// Tags that lead here from now on and did not before.
    pub moved: Vec<String>,
}

/// A push that failed; no tag leads to something incomplete.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A blob could not be sent.
    #[error("cannot push {digest}")]
    Blob {
        /// Which one.
        digest: Digest,
        /// Why.
        source: Box<HttpError>,
    },
    /// A manifest was not taken.
    #[error("cannot push {reference}")]
    Manifest {
        /// Under which name.
        reference: String,
        /// Why.
        source: Box<HttpError>,
    },
    /// The registry cannot be asked.
    #[error(transparent)]
    Http(Box<HttpError>),
    /// The bytes to push are others.
    #[error(
        "what is to be pushed is damaged: expected {expected} of {expected_size} bytes, got {got} of {got_size} bytes"
    )]
    Damaged {
        /// By the manifest.
        expected: Digest,
        /// By the manifest.
        expected_size: u64,
        /// As read.
        got: Digest,
        /// As read.
        got_size: u64,
    },
    /// The bytes to push cannot be read.
    #[error("cannot read {digest}")]
    Read {
        /// Which blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// The registry stored something else.
    #[error("{host} says that {reference} is {got}, expected {expected}")]
    Digest {
        /// The registry.
        host: String,
        /// The name that was pushed.
        reference: String,
        /// What was pushed.
        expected: Digest,
        /// What it answered.
        got: String,
    },
    /// A registry that counts otherwise.
    #[error("{host} says that it has {got} bytes of an upload, expected {expected}")]
    Range {
        /// The registry.
        host: String,
        /// So many were sent.
        expected: u64,
        /// So many it says it has.
        got: u64,
    },
    /// A registry that wants larger pieces than fit.
    #[error("{host} takes no pieces of a blob below {least} bytes")]
    Chunk {
        /// The registry.
        host: String,
        /// Its smallest piece.
        least: u64,
    },
}

impl From<HttpError> for PushError {
    fn from(error: HttpError) -> Self {
        Self::Http(Box::new(error))
    }
}

impl PushError {
    pub(super) fn blob(blob: &Descriptor, source: HttpError) -> Self {
        Self::Blob {
            digest: blob.digest,
            source: Box::new(source),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let source = match self {
            Self::Blob { source, .. } | Self::Manifest { source, .. } | Self::Http(source) => {
                source
            }
            Self::Damaged { .. } => return Some("build it again".to_owned()),
            _ => return None,
        };
        match &**source {
            HttpError::Status { host, status, .. } if matches!(status.as_u16(), 401 | 403) => {
                Some(format!(
                    "log in to {host} as somebody who may push, or check the repository's name"
                ))
            }
            error if is_immutable(error) => {
                Some("the tag may not be moved; push under another tag".to_owned())
            }
            error => error.hint(),
        }
    }
}

/// In the words of the registries that have immutable tags.
fn is_immutable(error: &HttpError) -> bool {
    let said = error.to_string().to_lowercase();
    error.status().is_some() && (said.contains("immutable") || said.contains("alreadyexists"))
}

impl Push<'_> {
    /// Brings everything there, then moves each tag to its document of the graph. Without a tag the documents can be
    /// had by their digests.
    pub fn run(&self, tags: &[(String, Digest)]) -> Result<Pushed, PushError> {
        self.run_with(tags, None::<fn() -> Result<(), PushError>>)
    }

    /// The same, with something to do between: `before` is called when everything can be had by its digest and no tag has
    /// moved. When it fails, none does.
    pub fn run_with<E: From<PushError>>(
        &self,
        tags: &[(String, Digest)],
        before: Option<impl FnOnce() -> Result<(), E>>,
    ) -> Result<Pushed, E> {
        let stands = |(tag, digest): &(String, Digest)| -> Result<bool, PushError> {
            Ok(self.tagged(tag)? == Some(*digest))
        };
        let stand = in_parallel(QUESTIONS, tags, stands)?;
        let moving = tags.iter().zip(&stand).filter(|(_, stands)| !**stands);
        let moving: Vec<&(String, Digest)> = moving.map(|(tag, _)| tag).collect();
        // What a tag leads to is complete: nothing is sent, which also suits tags that may not be moved.
        if moving.is_empty() && !tags.is_empty() {
            before.map_or(Ok(()), |before| before())?;
            return Ok(Pushed {
                there: self.graph.blobs.len(),
                ..Pushed::default()
            });
        }
        let mut pushed = self.blobs()?;
        let documents = &self.graph.documents;
        if documents.len() > 1 || moving.len() != 1 || before.is_some() {
            // What is refused is refused before the first of the tags moves.
            for document in documents {
                self.put(document, &document.digest.to_string())?;
            }
        }
        before.map_or(Ok(()), |before| before())?;
        for (tag, digest) in moving {
            let document = documents.iter().find(|document| document.digest == *digest);
            self.put(document.expect("a tag is for one of the documents"), tag)?;
            pushed.moved.push(tag.clone());
        }
        Ok(pushed)
    }

    /// What a tag leads to; none where it does not exist or the registry does not say.
    fn tagged(&self, tag: &str) -> Result<Option<Digest>, PushError> {
        let url = self
            .endpoint
            .url(self.repository, &format!("manifests/{tag}"))?;
        let request = Request::head(url).accept(ACCEPT);
        let access = Access::push(self.repository);
        match self.endpoint.send(&access, &request) {
            Ok(response) => {
                let digest = response.headers().get("docker-content-digest");
                Ok(digest.and_then(|value| value.to_str().ok()?.parse().ok()))
            }
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(source) => Err(self.refused(tag, source)),
        }
    }

    /// Brings the blobs there, and nothing that leads to them.
    pub fn blobs(&self) -> Result<Pushed, PushError> {
        let blobs = &self.graph.blobs;
        let there = in_parallel(QUESTIONS, blobs, |blob| {
            let there = has_blob(self.endpoint, self.repository, blob)?;
            if there {
                self.watch.done(blob, &Outcome::There);
            }
            Ok::<_, PushError>(there)
        })?;
        let mut missing: Vec<&Descriptor> = blobs
            .iter()
            .zip(&there)
            .filter(|(_, there)| !**there)
            .map(|(blob, _)| blob)
            .collect();
        // The largest first, so that none of them is alone at the end.
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let outcomes = in_parallel(UPLOADS, &missing, |blob| {
            let open = (self.open)(blob).map_err(|source| PushError::Read {
                digest: blob.digest,
                source,
            })?;
            let upload = Upload {
                endpoint: self.endpoint,
                repository: self.repository,
                blob,
                open,
                watch: self.watch.clone(),
            };
            let outcome = upload.run(self.mount_from)?;
            self.watch.done(blob, &outcome);
            Ok::<_, PushError>((outcome, blob.size))
        })?;
        let sent = outcomes
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Sent);
        Ok(Pushed {
            there: blobs.len() - missing.len(),
            mounted: outcomes
                .iter()
                .filter(|(outcome, _)| *outcome != Outcome::Sent)
                .count(),
            sent: sent.clone().count(),
            bytes: sent.map(|(_, size)| size).sum(),
            moved: Vec::new(),
        })
    }

    fn put(&self, document: &Document, name: &str) -> Result<(), PushError> {
        put_manifest(self.endpoint, self.repository, document, name).map(drop)
    }

    fn refused(&self, name: &str, source: HttpError) -> PushError {
        PushError::Manifest {
            reference: named(self.endpoint, self.repository, name),
            source: Box::new(source),
        }
    }
}

/// Whether a repository has a blob.
pub(super) fn has_blob(
    endpoint: &Endpoint,
    repository: &str,
    blob: &Descriptor,
) -> Result<bool, PushError> {
    let url = endpoint.url(repository, &format!("blobs/{}", blob.digest))?;
    match endpoint.send(&Access::push(repository), &Request::head(url)) {
        Ok(_) => Ok(true),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
        Err(error) => Err(PushError::blob(blob, error)),
    }
}

/// Puts a document under a tag or its digest and checks what the registry made of it. Returns whether it understood what
/// the document is attached to.
pub(super) fn put_manifest(
    endpoint: &Endpoint,
    repository: &str,
    document: &Document,
    name: &str,
) -> Result<bool, PushError> {
    let url = endpoint.url(repository, &format!("manifests/{name}"))?;
    let request = Request::put(url)
        .header(CONTENT_TYPE, &document.media_type)
        .bytes(&document.bytes)
        .repeatable();
    let response = endpoint.send(&Access::push(repository), &request);
    let response = response.map_err(|source| PushError::Manifest {
        reference: named(endpoint, repository, name),
        source: Box::new(source),
    })?;
    let header = |name| response.headers().get(name)?.to_str().ok();
    match header("docker-content-digest") {
        Some(got) if got != document.digest.to_string() => Err(PushError::Digest {
            host: endpoint.host(),
            reference: named(endpoint, repository, name),
            expected: document.digest,
            got: got.chars().take(80).collect(),
        }),
        _ => Ok(header("oci-subject").is_some()),
    }
}

/// A tag or a digest in a repository, for people.
fn named(endpoint: &Endpoint, repository: &str, name: &str) -> String {
    let separator = if name.contains(':') { '@' } else { ':' };
    format!("{}/{repository}{separator}{name}", endpoint.host())
}

#[cfg(test)]
mod tests;
