//! What is attached to an image: SBOMs, signatures, provenance. Asked for through the referrers API, or where a registry
//! has none, through the index that stands under the subject's fallback tag.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, LINK};
use reqwest::{StatusCode, Url};
use serde::Serialize;

use super::auth::Access;
use super::endpoint::Endpoint;
use super::graph::EMPTY;
use super::http::{Answer, HttpError, Request};
use super::manifest::ManifestError;
use super::push::put_manifest;
use super::{Descriptor, Document, Entry, Links, PushError};
use crate::{Digest, media_type};

const MAX_INDEX: u64 = 4 << 20;
/// More pages than anybody has attachments.
const MAX_PAGES: usize = 100;
/// How often the fallback index is written when others write it, too.
const MAX_WRITES: usize = 5;

/// Referrers that cannot be listed or written.
#[derive(Debug, thiserror::Error)]
pub enum ReferrersError {
    /// The registry cannot be asked, or refuses.
    #[error("cannot list what is attached to {subject}")]
    List {
        /// The image.
        subject: Digest,
        /// Why.
        source: Box<HttpError>,
    },
    /// The registry's list is none.
    #[error("what {host} lists for {subject} is no index")]
    Index {
        /// The registry.
        host: String,
        /// The image.
        subject: Digest,
        /// Why.
        source: ManifestError,
    },
    /// A list without end, or one that goes on elsewhere.
    #[error("{host} says that its list goes on {where_to}")]
    Pages {
        /// The registry.
        host: String,
        /// In words.
        where_to: &'static str,
    },
    /// The artifact or the index cannot be pushed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Others write the index all the time.
    #[error("{tag} was overwritten by somebody else, {MAX_WRITES} times")]
    Overwritten {
        /// The fallback tag.
        tag: String,
    },
}

impl ReferrersError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::List { source, .. } => source.hint(),
            Self::Push(error) => error.hint(),
            Self::Overwritten { .. } => Some("try again".to_owned()),
            _ => None,
        }
    }
}

/// Where things are attached to an image.
pub struct Referrers<'a> {
    /// The way in.
    pub endpoint: &'a Endpoint<'a>,
    /// The image's repository.
    pub repository: &'a str,
    /// The image's manifest or index.
    pub subject: Digest,
}

impl Referrers<'_> {
    /// What is attached, as the registry orders it; with an artifact type, only that.
    pub fn list(&self, artifact_type: Option<&str>) -> Result<Vec<Entry>, ReferrersError> {
        let mut found = match self.native(artifact_type)? {
            Some(found) => found,
            None => self.fallback()?.unwrap_or_default(),
        };
        // A registry need not filter, and a fallback index cannot.
        found.retain(|entry| {
            artifact_type.is_none() || entry.artifact_type.as_deref() == artifact_type
        });
        Ok(found)
    }

    /// Puts a manifest whose `subject` is this one; its blobs are there.
    pub fn put(&self, artifact: &Document) -> Result<(), ReferrersError> {
        let name = artifact.digest.to_string();
        let understood = put_manifest(self.endpoint, self.repository, artifact, &name)?;
        if understood {
            return Ok(());
        }
        self.add_to_fallback(artifact)
    }

    /// `None` where the registry has no such API.
    fn native(&self, artifact_type: Option<&str>) -> Result<Option<Vec<Entry>>, ReferrersError> {
        let path = format!("referrers/{}", self.subject);
        let mut url = self.url(&path)?;
        if let Some(kind) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", kind);
        }
        let mut found = Vec::new();
        for page in 0..MAX_PAGES {
            let answer = match self.read(url.clone()) {
                Ok(answer) => answer,
                Err(error) if page == 0 && error.status() == Some(StatusCode::NOT_FOUND) => {
                    return Ok(None);
                }
                Err(source) => return Err(self.unlisted(source)),
            };
            let kind = answer
                .headers
                .get(CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok());
            let kind = kind
                .and_then(|kind| kind.split(';').next())
                .unwrap_or_default();
            if page == 0 && kind.trim() != media_type::INDEX {
                // A page of a proxy or of a registry that answers everything.
                return Ok(None);
            }
            found.extend(self.entries(&answer.body)?);
            let link = answer.headers.get(LINK).and_then(|link| link.to_str().ok());
            let Some(next) = link.and_then(next_page) else {
                return Ok(Some(found));
            };
            let next = url
                .join(next)
                .ok()
                .filter(|next| next.origin() == url.origin());
            url = next.ok_or_else(|| self.endless("at another host"))?;
        }
        Err(self.endless("for ever"))
    }

    /// The entries of the index under the fallback tag.
    fn fallback(&self) -> Result<Option<Vec<Entry>>, ReferrersError> {
        match self.read(self.url(&format!("manifests/{}", self.tag()))?) {
            Ok(answer) => self.entries(&answer.body).map(Some),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(source) => Err(self.unlisted(source)),
        }
    }

    /// Reads the index, adds to it, writes it, and looks whether somebody else wrote in between.
    fn add_to_fallback(&self, artifact: &Document) -> Result<(), ReferrersError> {
        let entry = self.entry_of(artifact)?;
        for _ in 0..MAX_WRITES {
            let mut entries = self.fallback()?.unwrap_or_default();
            if entries.iter().any(|there| there.digest == entry.digest) {
                return Ok(());
            }
            entries.push(entry.clone());
            // Whoever writes them, the same attachments are the same index.
            entries.sort_by_key(|entry| entry.digest);
            put_manifest(
                self.endpoint,
                self.repository,
                &Document::index(&entries),
                &self.tag(),
            )?;
            let written = self.fallback()?.unwrap_or_default();
            if written.iter().any(|there| there.digest == entry.digest) {
                return Ok(());
            }
        }
        Err(ReferrersError::Overwritten { tag: self.tag() })
    }

    fn entry_of(&self, artifact: &Document) -> Result<Entry, ReferrersError> {
        let links = Links::parse(&artifact.bytes).map_err(|source| self.no_index(source))?;
        Ok(Entry {
            artifact_type: links.artifact_type,
            annotations: links.annotations,
            ..artifact.entry(None)
        })
    }

    fn entries(&self, bytes: &[u8]) -> Result<Vec<Entry>, ReferrersError> {
        let links = Links::parse(bytes).map_err(|source| self.no_index(source))?;
        Ok(links.manifests)
    }

    fn read(&self, url: Url) -> Result<Answer, HttpError> {
        let request = Request::get(url).accept(media_type::INDEX);
        self.endpoint
            .read(&Access::pull(self.repository), &request, MAX_INDEX)
    }

    fn url(&self, path: &str) -> Result<Url, ReferrersError> {
        let url = self.endpoint.url(self.repository, path);
        url.map_err(|source| self.unlisted(source))
    }

    /// `sha256-<hex>`.
    fn tag(&self) -> String {
        self.subject.to_string().replace(':', "-")
    }

    fn unlisted(&self, source: HttpError) -> ReferrersError {
        ReferrersError::List {
            subject: self.subject,
            source: Box::new(source),
        }
    }

    fn no_index(&self, source: ManifestError) -> ReferrersError {
        ReferrersError::Index {
            host: self.endpoint.host(),
            subject: self.subject,
            source,
        }
    }

    fn endless(&self, where_to: &'static str) -> ReferrersError {
        ReferrersError::Pages {
            host: self.endpoint.host(),
            where_to,
        }
    }
}

/// An artifact's manifest: what `files` are, attached to `subject`. Its configuration is the empty one: [`EMPTY_CONFIG`].
pub fn artifact(
    artifact_type: &str,
    subject: &Descriptor,
    files: &[(Descriptor, String)],
    annotations: &BTreeMap<String, String>,
) -> Document {
    let title = |name: &String| BTreeMap::from([(TITLE, name.clone())]);
    let layers = files
        .iter()
        .map(|(file, name)| Blob::new(file, title(name)));
    let manifest = Artifact {
        schema_version: 2,
        media_type: media_type::MANIFEST,
        artifact_type,
        config: Blob::new(&empty_config(), BTreeMap::new()),
        layers: layers.collect(),
        subject: Blob::new(subject, BTreeMap::new()),
        annotations,
    };
    Document::new(media_type::MANIFEST, crate::image::json(&manifest))
}

/// The bytes of an artifact's configuration.
pub const EMPTY_CONFIG: &[u8] = b"{}";
/// The name of a file in an artifact.
const TITLE: &str = "org.opencontainers.image.title";

/// The configuration of an artifact.
pub fn empty_config() -> Descriptor {
    Descriptor {
        media_type: EMPTY.to_owned(),
        digest: Digest::of(EMPTY_CONFIG),
        size: EMPTY_CONFIG.len() as u64,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact<'a> {
    schema_version: u8,
    media_type: &'static str,
    artifact_type: &'a str,
    config: Blob,
    layers: Vec<Blob>,
    subject: Blob,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl Blob {
    fn new(descriptor: &Descriptor, annotations: BTreeMap<&'static str, String>) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest,
            size: descriptor.size,
            annotations,
        }
    }
}

/// The target of `<…>; rel="next"`.
pub(super) fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), r#"rel="next""# | "rel=next"));
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests;
