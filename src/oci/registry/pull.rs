//! Pulling an image: manifest, configuration and layers, each checked, into whatever keeps blobs. The manifest is kept
//! last, so one that is there means that the pull was finished.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use reqwest::header::CONTENT_TYPE;

use super::auth::Access;
use super::endpoint::Endpoint;
use super::http::{Http, HttpError, Request};
use super::manifest::{ACCEPT, Document};
use super::transfer::{TransferError, download};
use super::{Descriptor, Manifest, ManifestError, Outcome, Platform, Reference, Watch};
use crate::{Digest, ManifestDigest};

/// The specification's own limit.
const MAX_MANIFEST: u64 = 4 << 20;
const MAX_CONFIG: u64 = 8 << 20;

/// Keeps blobs.
pub trait BlobSink {
    /// Its own errors, and those of a pull.
    type Error: From<PullError>;

    /// The blob's file, if it is there and whole.
    fn find(&self, digest: &Digest) -> Result<Option<PathBuf>, Self::Error>;

    /// The blob's file, through `download` if it is not there. `download` leaves exactly these bytes in the file that
    /// it is given, which may hold the beginning of them.
    fn obtain(
        &self,
        digest: &Digest,
        download: &mut dyn FnMut(&Path) -> Result<(), PullError>,
    ) -> Result<PathBuf, Self::Error>;

    /// Keeps bytes in memory.
    fn put(&self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Hears that so many bytes of a blob have come.
    fn at(&self, digest: &Digest, bytes: u64);
}

/// A repository in a registry, and the way in.
pub struct Registry<'h> {
    endpoint: Endpoint<'h>,
    access: Access,
    reference: Reference,
    watch: Option<Arc<dyn Watch>>,
}

/// An image whose blobs are all in the sink.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Its name for ever.
    pub digest: ManifestDigest,
    /// What it consists of.
    pub manifest: Manifest,
    /// The manifest's exact bytes.
    pub manifest_bytes: Vec<u8>,
    /// The configuration's exact bytes.
    pub config_bytes: Vec<u8>,
}

/// An image that could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A blob did not arrive.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The manifest is none.
    #[error("{reference}: {source}")]
    Manifest {
        /// Which one.
        reference: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// Too big to be what it should be.
    #[error("{what} of {size} bytes; the limit is {limit}")]
    TooBig {
        /// A manifest or a configuration.
        what: &'static str,
        /// At least so big.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The index has no image for the platform.
    #[error("{reference} has no image for {platform}, only for {there}")]
    NoPlatform {
        /// Which index.
        reference: String,
        /// What was asked for.
        platform: String,
        /// What there is.
        there: String,
    },
    /// The image is for another platform.
    #[error("{reference} is an image for {got}, not for {platform}")]
    WrongPlatform {
        /// Which image.
        reference: String,
        /// What was asked for.
        platform: String,
        /// What it is.
        got: String,
    },
    /// Several platforms, and none was asked for.
    #[error("{0} is an index of several platforms")]
    Index(String),
}

impl From<HttpError> for PullError {
    fn from(error: HttpError) -> Self {
        Self::Transfer(error.into())
    }
}

impl PullError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Transfer(error) = self else {
            return None;
        };
        match error {
            TransferError::Http(HttpError::Status { host, status, .. })
                if matches!(status.as_u16(), 401 | 403) =>
            {
                Some(format!(
                    "log in to {host}, or check that the repository exists"
                ))
            }
            error => error.hint(),
        }
    }
}

impl<'h> Registry<'h> {
    /// Touches nothing yet.
    pub fn new(http: &'h Http, reference: Reference) -> Result<Self, PullError> {
        Ok(Self {
            endpoint: Endpoint::new(http, &reference)?,
            access: Access::pull(reference.repository()),
            reference,
            watch: None,
        })
    }

    /// Reports blobs on their way.
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Self {
            watch: Some(watch),
            ..self
        }
    }

    /// The host and port that are asked.
    pub fn host(&self) -> String {
        self.endpoint.host()
    }

    /// The reference's image for `platform`; without a platform, an index is an error.
    pub fn pull<S: BlobSink>(
        &self,
        platform: Option<&Platform>,
        sink: &S,
    ) -> Result<Pulled, S::Error> {
        let (mut bytes, mut document) = self.document(&self.reference, None, sink)?;
        if let Document::Index(index) = &document {
            let platform = platform.ok_or_else(|| PullError::Index(self.reference.to_string()))?;
            let chosen = index
                .choose(platform)
                .ok_or_else(|| PullError::NoPlatform {
                    reference: self.reference.to_string(),
                    platform: platform.to_string(),
                    there: index
                        .manifests
                        .iter()
                        .filter_map(|(_, p)| Some(p.as_ref()?.to_string()))
                        .collect::<Vec<_>>()
                        .join(", "),
                })?;
            let reference = self.reference.with_digest(ManifestDigest(chosen.digest));
            let index = bytes;
            (bytes, document) = self.document(&reference, Some(chosen), sink)?;
            sink.put(&index)?;
        }
        let Document::Manifest(manifest) = document else {
            return Err(PullError::Index(self.reference.to_string()).into());
        };
        let config_bytes = self.config(&manifest, platform, sink)?;
        for layer in &manifest.layers {
            self.blob(layer, sink)?;
        }
        sink.put(&bytes)?;
        Ok(Pulled {
            digest: ManifestDigest(Digest::of(&bytes)),
            manifest,
            manifest_bytes: bytes,
            config_bytes,
        })
    }

    /// A manifest or an index, from the sink if it is pinned and there.
    fn document<S: BlobSink>(
        &self,
        reference: &Reference,
        descriptor: Option<&Descriptor>,
        sink: &S,
    ) -> Result<(Vec<u8>, Document), S::Error> {
        let invalid = |source| PullError::Manifest {
            reference: reference.to_string(),
            source,
        };
        if let Some(ManifestDigest(digest)) = reference.digest()
            && let Some(path) = sink.find(digest)?
        {
            let bytes = fs::read(path)
                .map_err(TransferError::from)
                .map_err(PullError::from)?;
            let document = Document::parse(&bytes, None).map_err(invalid)?;
            return Ok((bytes, document));
        }
        let (bytes, content_type) = self.fetch_manifest(reference)?;
        if let Some(descriptor) =
            descriptor.filter(|descriptor| descriptor.size != bytes.len() as u64)
        {
            let (expected, got) = (descriptor.size, bytes.len() as u64);
            return Err(PullError::from(TransferError::Size { expected, got }).into());
        }
        let document = Document::parse(&bytes, content_type.as_deref()).map_err(invalid)?;
        Ok((bytes, document))
    }

    /// The exact bytes of a manifest or an index of this repository, and the type that they were sent as; `digest`
    /// or, without one, what the reference names. Their digest is checked, nothing is parsed.
    pub fn manifest_bytes(
        &self,
        digest: Option<&Digest>,
    ) -> Result<(Vec<u8>, Option<String>), PullError> {
        match digest {
            Some(digest) => {
                self.fetch_manifest(&self.reference.with_digest(ManifestDigest(*digest)))
            }
            None => self.fetch_manifest(&self.reference),
        }
    }

    /// Puts a blob into a file, which may hold the beginning of it: digest and size are checked, what breaks is resumed.
    /// `at` hears how many bytes there are.
    pub fn download_blob(
        &self,
        blob: &Descriptor,
        part: &Path,
        at: &mut dyn FnMut(u64),
    ) -> Result<(), PullError> {
        let path = format!("blobs/{}", blob.digest);
        let url = self.endpoint.url(self.reference.repository(), &path)?;
        let get = Request::get(url);
        let mut at = |bytes| {
            at(bytes);
            if let Some(watch) = &self.watch {
                watch.at(blob, bytes);
            }
        };
        let mut open = |from| self.endpoint.once(&self.access, &get.clone().from(from));
        download(
            self.endpoint.http().options(),
            &blob.digest,
            Some(blob.size),
            part,
            &mut open,
            &mut at,
        )?;
        if let Some(watch) = &self.watch {
            watch.done(blob, &Outcome::Fetched);
        }
        Ok(())
    }

    fn fetch_manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Vec<u8>, Option<String>), PullError> {
        let path = format!("manifests/{}", reference.target());
        let url = self.endpoint.url(self.reference.repository(), &path)?;
        let request = Request::get(url).accept(ACCEPT);
        let answer = self.endpoint.read(&self.access, &request, MAX_MANIFEST);
        let answer = answer.map_err(|error| match error {
            HttpError::TooBig { limit, .. } => PullError::TooBig {
                what: "a manifest",
                size: limit + 1,
                limit,
            },
            error => error.into(),
        })?;
        let header = |name| answer.header(name).map(str::to_owned);
        let (content_type, announced) = (
            header(CONTENT_TYPE.as_str()),
            header("docker-content-digest"),
        );
        let bytes = answer.body;
        let got = Digest::of(&bytes);
        let expected = [
            reference.digest().map(|digest| digest.0),
            announced.and_then(|text| text.parse().ok()),
        ];
        if let Some(expected) = expected
            .into_iter()
            .flatten()
            .find(|expected| *expected != got)
        {
            return Err(TransferError::Mismatch { expected, got }.into());
        }
        Ok((bytes, content_type))
    }

    fn config<S: BlobSink>(
        &self,
        manifest: &Manifest,
        platform: Option<&Platform>,
        sink: &S,
    ) -> Result<Vec<u8>, S::Error> {
        let size = manifest.config.size;
        if size > MAX_CONFIG {
            let (what, limit) = ("a configuration", MAX_CONFIG);
            return Err(PullError::TooBig { what, size, limit }.into());
        }
        let path = self.blob(&manifest.config, sink)?;
        let bytes = fs::read(path)
            .map_err(TransferError::from)
            .map_err(PullError::from)?;
        let got: Platform =
            serde_json::from_slice(&bytes).map_err(|error| PullError::Manifest {
                reference: self.reference.to_string(),
                source: ManifestError::Json(format!("its configuration: {error}")),
            })?;
        match platform {
            Some(platform) if !got.serves(platform) => Err(PullError::WrongPlatform {
                reference: self.reference.to_string(),
                platform: platform.to_string(),
                got: got.to_string(),
            }
            .into()),
            _ => Ok(bytes),
        }
    }

    fn blob<S: BlobSink>(&self, blob: &Descriptor, sink: &S) -> Result<PathBuf, S::Error> {
        let path = sink.obtain(&blob.digest, &mut |part| {
            self.download_blob(blob, part, &mut |bytes| sink.at(&blob.digest, bytes))
        })?;
        let got = fs::metadata(&path)
            .map_err(|error: io::Error| PullError::from(TransferError::from(error)))?
            .len();
        if got != blob.size {
            let expected = blob.size;
            return Err(PullError::from(TransferError::Size { expected, got }).into());
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
