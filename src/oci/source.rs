//! Where an image is read from, whatever the place: a layout, an archive, a registry. Comes in a [`Location`], go out
//! documents and blobs, each checked against the digest and the size that its descriptor names, up to the last byte.
//! Judges nothing else: rules are in [`crate::validate`]. Addresses that a layer's descriptor names are never followed.

mod archive;
mod error;
mod location;
mod verified;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use oci_spec::image as spec;

use crate::digest::{Digest, ManifestDigest};
use crate::layout::{Layout, MAX_CONFIG, MAX_DOCUMENT, REF_NAME};
use crate::media_type;
use crate::registry::{
    Descriptor, Manifest, ManifestError, Platform, PullError, Reference, Registry,
};
use crate::tarball::CONTAINERD_NAME;
use archive::Archive;
pub use error::SourceError;
pub use location::{Form, InvalidLocation, Location, Name};
pub use verified::{Mismatch, Verified, mismatch};

/// A blob as it is read; only the right bytes reach their end.
pub type Blob = Verified<Box<dyn Read + Send>>;

/// What opening a source needs beside its location.
pub struct Access<'a, 'h> {
    /// A folder for what has to be unpacked or downloaded while the source is open; made when it is needed.
    pub scratch: &'a Path,
    /// Makes the way into a registry.
    pub connect: &'a dyn Fn(&Reference) -> Result<Registry<'h>, PullError>,
}

/// An open place with one name chosen in it.
pub struct ImageSource<'h> {
    place: Place<'h>,
    shown: String,
    top: Descriptor,
    /// What no blob of the place holds: a layout's index, Docker's image as a manifest, what a registry sent first.
    top_bytes: Option<Vec<u8>>,
}

enum Place<'h> {
    Layout(Layout),
    Archive(Box<Archive>),
    Registry {
        registry: Box<Registry<'h>>,
        blobs: tempfile::TempDir,
    },
}

/// Where a blob's bytes lie on this machine while its source is open. Unchecked: [`ImageSource::blob`] checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFile {
    /// The blob's file, or the archive that it is a member of.
    pub path: PathBuf,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// One image of one platform, its documents verified and understood.
#[derive(Clone, Debug)]
pub struct SourceImage {
    /// Names the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// Its exact bytes.
    pub manifest_bytes: Vec<u8>,
    /// The configuration's exact bytes.
    pub config_bytes: Vec<u8>,
    /// By the configuration.
    pub platform: Platform,
}

impl<'h> ImageSource<'h> {
    /// Finds what the location names. Of a registry the first document is read, of the others no blob yet.
    ///
    /// A layout with several images and no name chosen is their index. So is what a name resolves to, if it is one:
    /// see [`ImageSource::choose`].
    pub fn open(location: &Location, access: &Access<'_, 'h>) -> Result<Self, SourceError> {
        let shown = location.to_string();
        match location {
            Location::Registry(reference) => {
                let registry = (access.connect)(reference)?;
                let blobs = fs_err::create_dir_all(access.scratch)
                    .and_then(|()| tempfile::tempdir_in(access.scratch))
                    .map_err(|source| SourceError::io("write to", access.scratch, source))?;
                let (bytes, sent) = registry.manifest_bytes(None)?;
                let top = described(&bytes, sent.as_deref());
                Ok(Self {
                    place: Place::Registry {
                        registry: Box::new(registry),
                        blobs,
                    },
                    shown,
                    top,
                    top_bytes: Some(bytes),
                })
            }
            Location::Local { path, name, form } => {
                let is_dir = path.is_dir();
                if is_dir == (*form == Form::Archive) && *form != Form::AsFound {
                    return Err(SourceError::NotAnImage(path.clone()));
                }
                let (place, bytes, is_manifest) = if is_dir {
                    let layout = Layout::open(path)?;
                    let bytes = layout.index_bytes()?;
                    (Place::Layout(layout), bytes, false)
                } else {
                    let archive = Archive::open(path, name.as_ref(), access.scratch)?;
                    let (bytes, is_manifest) = archive.top()?;
                    (Place::Archive(Box::new(archive)), bytes, is_manifest)
                };
                let mut source = Self {
                    place,
                    shown,
                    top: described(&bytes, None),
                    top_bytes: None,
                };
                match source.named(&bytes, name.as_ref(), path) {
                    _ if is_manifest => source.top_bytes = Some(bytes),
                    Ok(Some(named)) => source.top = named,
                    Ok(None) => {
                        source.top.media_type = media_type::INDEX.to_owned();
                        source.top_bytes = Some(bytes);
                    }
                    Err(error) => return Err(error),
                }
                Ok(source)
            }
        }
    }

    /// What the name resolves to: a manifest, or an index.
    pub fn top(&self) -> &Descriptor {
        &self.top
    }

    /// The location, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The layout, if it is one on this machine.
    pub fn layout(&self) -> Option<&Layout> {
        match &self.place {
            Place::Layout(layout) => Some(layout),
            _ => None,
        }
    }

    /// Whether the layers are as `docker save` keeps them: their compression is decided when they are pushed.
    pub fn is_docker_archive(&self) -> bool {
        matches!(&self.place, Place::Archive(archive) if archive.is_docker())
    }

    /// A manifest's or an index's exact bytes, up to 4 MiB.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        if descriptor.digest == self.top.digest
            && let Some(bytes) = &self.top_bytes
        {
            return Ok(bytes.clone());
        }
        if let Place::Registry { registry, .. } = &self.place {
            self.check_size(descriptor, MAX_DOCUMENT)?;
            let (bytes, _) = registry.manifest_bytes(Some(&descriptor.digest))?;
            return self.whole(&*bytes, descriptor, MAX_DOCUMENT);
        }
        self.whole(self.raw(descriptor)?, descriptor, MAX_DOCUMENT)
    }

    /// A configuration's exact bytes, up to 8 MiB.
    pub fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        self.whole(self.raw(descriptor)?, descriptor, MAX_CONFIG)
    }

    /// Any other blob as a reader from its start; may be asked for again and from several threads.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Blob, SourceError> {
        let raw: Box<dyn Read + Send> = Box::new(self.raw(descriptor)?);
        Ok(Verified::new(raw, descriptor.digest, descriptor.size))
    }

    /// Where a blob lies, so that it can be read from any offset. Of a registry it is downloaded, if it was not yet.
    pub fn blob_file(&self, descriptor: &Descriptor) -> Result<BlobFile, SourceError> {
        let found = match &self.place {
            Place::Archive(archive) => archive.blob(descriptor.digest),
            Place::Layout(layout) => whole_file(&layout.blob_path(descriptor.digest))?,
            Place::Registry { registry, blobs } => {
                whole_file(&fetched(registry, descriptor, blobs.path())?)?
            }
        };
        found.ok_or_else(|| SourceError::Missing {
            what: format!("the blob {}", descriptor.digest),
            shown: self.shown.clone(),
        })
    }

    /// The one manifest that is meant: the top itself, or the entry of its index for `platform`. Without a platform an
    /// index must hold exactly one image; papers that build tools put beside it do not count.
    pub fn choose(&self, platform: Option<&Platform>) -> Result<Descriptor, SourceError> {
        if !media_type::is_index(&self.top.media_type) {
            return Ok(self.top.clone());
        }
        let images = self.images()?;
        let fits = |there: &Platform| platform.is_none_or(|wanted| there.serves(wanted));
        let fitting: Vec<_> = images.iter().filter(|(_, there)| fits(there)).collect();
        match fitting.as_slice() {
            [(descriptor, _)] => Ok(descriptor.clone()),
            [(descriptor, _), ..] if platform.is_some() => Ok(descriptor.clone()),
            _ => {
                let there: Vec<_> = images.iter().map(|(_, there)| there.to_string()).collect();
                Err(SourceError::Platform {
                    shown: self.shown.clone(),
                    wanted: platform.map(ToString::to_string),
                    there: there.join(", "),
                })
            }
        }
    }

    /// The image's documents.
    pub fn image(&self, platform: Option<&Platform>) -> Result<SourceImage, SourceError> {
        let descriptor = self.choose(platform)?;
        let manifest_bytes = self.document(&descriptor)?;
        let manifest = Manifest::parse(&manifest_bytes).map_err(|e| self.not_understood(e))?;
        let config_bytes = self.config(&manifest.config)?;
        let got = self.platform_of(&config_bytes)?;
        match platform {
            Some(wanted) if !got.serves(wanted) => Err(SourceError::Platform {
                shown: self.shown.clone(),
                wanted: Some(wanted.to_string()),
                there: got.to_string(),
            }),
            _ => Ok(SourceImage {
                descriptor,
                manifest,
                manifest_bytes,
                config_bytes,
                platform: got,
            }),
        }
    }

    /// The images of the top's index with what they are for; where the index does not say, their configurations do.
    pub fn images(&self) -> Result<Vec<(Descriptor, Platform)>, SourceError> {
        let index = self.index(&self.document(&self.top)?)?;
        let mut images = Vec::new();
        for entry in index.manifests() {
            let descriptor = described_by(entry).map_err(|e| self.not_understood(e))?;
            if !media_type::is_manifest(&descriptor.media_type) || entry.artifact_type().is_some() {
                continue;
            }
            let platform = match entry.platform() {
                Some(platform) => Platform::from(platform),
                None => {
                    let bytes = self.document(&descriptor)?;
                    let Ok(manifest) = Manifest::parse(&bytes) else {
                        continue;
                    };
                    self.platform_of(&self.config(&manifest.config)?)?
                }
            };
            // Where BuildKit puts attestations.
            if platform.os != "unknown" {
                images.push((descriptor, platform));
            }
        }
        Ok(images)
    }

    fn platform_of(&self, config: &[u8]) -> Result<Platform, SourceError> {
        serde_json::from_slice(config).map_err(|source| SourceError::Json {
            what: format!("the configuration of {}", self.shown),
            source,
        })
    }

    fn index(&self, bytes: &[u8]) -> Result<spec::ImageIndex, SourceError> {
        serde_json::from_slice(bytes).map_err(|source| SourceError::Json {
            what: format!("the index of {}", self.shown),
            source,
        })
    }

    /// The entry of a layout's index that a name means; `None`: the index itself.
    fn named(
        &self,
        index: &[u8],
        name: Option<&Name>,
        path: &Path,
    ) -> Result<Option<Descriptor>, SourceError> {
        if self.is_docker_archive() {
            return Ok(None);
        }
        let index = self.index(index)?;
        let names = |entry: &spec::Descriptor| -> Vec<String> {
            let annotations = entry.annotations().iter().flatten();
            let is_name = |key: &str| matches!(key, REF_NAME | CONTAINERD_NAME);
            let names = annotations.filter(|(key, _)| is_name(key));
            names.map(|(_, value)| value.clone()).collect()
        };
        let entries = index.manifests().iter();
        let fitting: Vec<&spec::Descriptor> = match name {
            Some(Name::Tag(tag)) => entries.filter(|e| names(e).contains(tag)).collect(),
            Some(Name::Digest(digest)) => {
                let digest = digest.to_string();
                let is = |e: &&spec::Descriptor| e.digest().to_string() == digest;
                entries.filter(is).take(1).collect()
            }
            None if index.manifests().len() == 1 => entries.collect(),
            None => entries.filter(|e| !names(e).is_empty()).collect(),
        };
        match (fitting.as_slice(), name) {
            ([entry], _) => Ok(Some(
                described_by(entry).map_err(|e| self.not_understood(e))?,
            )),
            (_, None) => Ok(None),
            ([], Some(Name::Digest(digest))) => self.unlisted(*digest).map(Some),
            _ => {
                let names: Vec<String> = index.manifests().iter().flat_map(names).collect();
                Err(SourceError::Which {
                    path: path.to_owned(),
                    asked: name.map(ToString::to_string).unwrap_or_default(),
                    names: names.join(", "),
                })
            }
        }
    }

    /// A manifest that is no entry of the layout's index, such as one for a platform of a nested index.
    fn unlisted(&self, digest: Digest) -> Result<Descriptor, SourceError> {
        let looked_for = Descriptor {
            media_type: media_type::MANIFEST.to_owned(),
            digest,
            size: 0,
        };
        let mut bytes = Vec::new();
        let raw = self.raw(&looked_for)?;
        raw.take(MAX_DOCUMENT)
            .read_to_end(&mut bytes)
            .map_err(|source| SourceError::io("read", Path::new(&self.shown), source))?;
        let found = described(&bytes, None);
        Ok(Descriptor { digest, ..found })
    }

    fn raw(&self, descriptor: &Descriptor) -> Result<impl Read + Send + use<>, SourceError> {
        let file = self.blob_file(descriptor)?;
        let failed = |source| SourceError::io("read", &file.path, source);
        file.open(0).map_err(failed)
    }

    fn check_size(&self, descriptor: &Descriptor, limit: u64) -> Result<(), SourceError> {
        if descriptor.size <= limit {
            return Ok(());
        }
        Err(SourceError::TooLarge {
            shown: self.shown.clone(),
            what: descriptor.digest,
            size: descriptor.size,
            limit,
        })
    }

    fn whole(
        &self,
        raw: impl Read,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Vec<u8>, SourceError> {
        self.check_size(descriptor, limit)?;
        let mut bytes = Vec::new();
        let mut reader = Verified::new(raw, descriptor.digest, descriptor.size);
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(match mismatch(&source) {
                Some(source) => SourceError::Blob {
                    shown: self.shown.clone(),
                    source,
                },
                None => SourceError::io("read", Path::new(&self.shown), source),
            }),
        }
    }

    fn not_understood(&self, source: ManifestError) -> SourceError {
        SourceError::Manifest {
            shown: self.shown.clone(),
            source,
        }
    }
}

impl SourceImage {
    /// What pins the image.
    pub fn digest(&self) -> ManifestDigest {
        ManifestDigest(self.descriptor.digest)
    }
}

impl BlobFile {
    /// Reads from an offset in the blob.
    pub fn open(&self, from: u64) -> io::Result<io::Take<fs_err::File>> {
        let mut file = fs_err::File::open(&self.path)?;
        let from = from.min(self.len);
        file.seek(SeekFrom::Start(self.offset + from))?;
        Ok(file.take(self.len - from))
    }
}

fn whole_file(path: &Path) -> Result<Option<BlobFile>, SourceError> {
    match fs_err::metadata(path) {
        Ok(metadata) => Ok(Some(BlobFile {
            path: path.to_owned(),
            offset: 0,
            len: metadata.len(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SourceError::io("read", path, source)),
    }
}

/// A registry's blob as a file of the source's own.
fn fetched(
    registry: &Registry,
    descriptor: &Descriptor,
    blobs: &Path,
) -> Result<PathBuf, SourceError> {
    let path = blobs.join(descriptor.digest.hex());
    if !path.exists() {
        let failed = |source| SourceError::io("write to", blobs, source);
        let part = tempfile::NamedTempFile::new_in(blobs).map_err(failed)?;
        registry.download_blob(descriptor, part.path(), &mut |_| {})?;
        part.persist(&path).map_err(|e| failed(e.error))?;
    }
    Ok(path)
}

/// Bytes with the type that they, or else whoever sent them, say they have.
fn described(bytes: &[u8], sent: Option<&str>) -> Descriptor {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Header {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let header: Option<Header> = serde_json::from_slice(bytes).ok();
    let is_index = header
        .as_ref()
        .is_some_and(|header| header.manifests.is_some());
    let said = header.and_then(|header| header.media_type);
    let sent = sent.and_then(|sent| sent.split(';').next());
    let media_type = said
        .or_else(|| sent.map(|sent| sent.trim().to_owned()))
        .unwrap_or_else(|| {
            let kind = if is_index {
                media_type::INDEX
            } else {
                media_type::MANIFEST
            };
            kind.to_owned()
        });
    Descriptor {
        media_type,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

/// A descriptor of a document, with a digest that is one.
pub(crate) fn described_by(entry: &spec::Descriptor) -> Result<Descriptor, ManifestError> {
    Ok(Descriptor {
        media_type: entry.media_type().to_string(),
        digest: entry.digest().to_string().parse()?,
        size: entry.size(),
    })
}

#[cfg(test)]
mod tests;
