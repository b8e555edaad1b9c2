//! OCI layouts: an image as a folder. Written so that a reader sees the old image or the new one, whenever the writer
//! is killed; read with every byte verified.

pub(crate) mod write;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use crate::digest::{Digest, InvalidDigest, LayerDigest, ManifestDigest};
use crate::image::{Image, Platform};
use crate::layer::{Layer, LayerError};
use crate::media_type;
pub(crate) use write::index_json;

pub(crate) const MARKER: &str = "oci-layout";
pub(crate) const INDEX: &str = "index.json";
pub(crate) const BLOBS: &str = "blobs/sha256";
/// The version file, as every tool writes it.
pub(crate) const MARKER_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The annotation that holds an image's name in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Manifests and indexes above this are refused, as registries do.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;
/// Configurations above this are refused.
pub(crate) const MAX_CONFIG: u64 = 8 << 20;

/// An OCI layout on this machine.
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
}

/// A layout that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file or folder failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is something else.
    #[error("{} is no OCI layout", .0.display())]
    NotALayout(PathBuf),
    /// A blob whose bytes are others.
    #[error("{}: expected {expected} of {expected_size} bytes, got {got} of {got_size} bytes", path.display())]
    Blob {
        /// The blob's file.
        path: PathBuf,
        /// By its descriptor.
        expected: Digest,
        /// By its descriptor.
        expected_size: u64,
        /// As computed.
        got: Digest,
        /// As counted.
        got_size: u64,
    },
    /// A document larger than any real one.
    #[error("{}: {size} bytes, more than {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A document that cannot be understood.
    #[error("{} cannot be understood", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        source: oci_spec::OciSpecError,
    },
    /// A descriptor's digest that is no sha256.
    #[error("{}", path.display())]
    Digest {
        /// The file with the descriptor.
        path: PathBuf,
        /// Why.
        source: InvalidDigest,
    },
    /// Not one image.
    #[error("{} holds {found} images, expected one", path.display())]
    NotOneImage {
        /// The index.
        path: PathBuf,
        /// Number of manifests.
        found: usize,
    },
    /// A manifest of another kind: an index, an artifact.
    #[error("{} points to {media_type}, expected an image manifest", path.display())]
    NotAnImage {
        /// The index.
        path: PathBuf,
        /// What is there.
        media_type: String,
    },
    /// A layer of the image.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl LayoutError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotALayout(_) => {
                Some("name a folder that is missing, empty, or holds an OCI layout")
            }
            Self::Blob { .. } => Some("the layout is damaged; build or copy it again"),
            Self::Layer(error) => error.hint(),
            _ => None,
        }
    }
}

impl Layout {
    /// Opens a layout; documents and blobs are verified when they are read.
    pub fn open(dir: &Path) -> Result<Self, LayoutError> {
        if !dir.join(MARKER).is_file() || !dir.join(INDEX).is_file() {
            return Err(LayoutError::NotALayout(dir.to_owned()));
        }
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a blob is, if it is there.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join(BLOBS).join(digest.hex())
    }

    /// The names of all blobs, sorted: hex digits, if nobody put something else there.
    pub fn blobs(&self) -> Result<Vec<String>, LayoutError> {
        let dir = self.dir.join(BLOBS);
        let list = io_error("list", &dir);
        let mut names = Vec::new();
        for blob in fs_err::read_dir(&dir).map_err(&list)? {
            let name = blob.map_err(&list)?.file_name();
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The index's bytes.
    pub fn index_bytes(&self) -> Result<Vec<u8>, LayoutError> {
        read_capped(&self.dir.join(INDEX), MAX_DOCUMENT)
    }

    /// Whether the layout holds exactly this image under this name, byte for byte.
    pub fn holds(&self, image: &Image, reference: &str) -> Result<bool, LayoutError> {
        if self.manifest_digest()? != image.manifest_digest()
            || self.reference()?.as_deref() != Some(reference)
        {
            return Ok(false);
        }
        let layers = image.layers().iter().map(|layer| layer.digest().0);
        let documents = [image.manifest_digest().0, image.config_digest().0];
        for digest in layers.chain(documents) {
            let path = self.blob_path(digest);
            let Ok(file) = fs_err::File::open(&path) else {
                return Ok(false);
            };
            let (got, _) = Digest::of_reader(file).map_err(io_error("read", &path))?;
            if got != digest {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The descriptor of the layout's only image.
    pub fn descriptor(&self) -> Result<Descriptor, LayoutError> {
        let path = self.dir.join(INDEX);
        let index = ImageIndex::from_reader(&*self.index_bytes()?).map_err(|source| {
            LayoutError::Document {
                path: path.clone(),
                source,
            }
        })?;
        let [descriptor] = index.manifests().as_slice() else {
            return Err(LayoutError::NotOneImage {
                path,
                found: index.manifests().len(),
            });
        };
        match descriptor.media_type().to_string().as_str() {
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => Ok(descriptor.clone()),
            other => Err(LayoutError::NotAnImage {
                path,
                media_type: other.to_owned(),
            }),
        }
    }

    /// The digest of the layout's only image.
    pub fn manifest_digest(&self) -> Result<ManifestDigest, LayoutError> {
        Ok(ManifestDigest(self.digest_of(&self.descriptor()?)?))
    }

    /// The name that the image has in the layout.
    pub fn reference(&self) -> Result<Option<String>, LayoutError> {
        let descriptor = self.descriptor()?;
        let annotations = descriptor.annotations().as_ref();
        Ok(annotations.and_then(|all| all.get(REF_NAME).cloned()))
    }

    /// The only image, all of it verified: digests, sizes, compression, diffIDs by the layers' bytes.
    pub fn image(&self) -> Result<Image, LayoutError> {
        let descriptor = self.descriptor()?;
        let bytes = self.document(&descriptor, MAX_DOCUMENT)?;
        let path = self.blob_path(self.digest_of(&descriptor)?);
        let manifest =
            ImageManifest::from_reader(&*bytes).map_err(|source| LayoutError::Document {
                path: path.clone(),
                source,
            })?;
        let config = self.document(manifest.config(), MAX_CONFIG)?;
        let parsed = oci_spec::image::ImageConfiguration::from_reader(&*config)
            .map_err(|source| LayoutError::Document { path, source })?;
        let mut layers = Vec::with_capacity(manifest.layers().len());
        for layer in manifest.layers() {
            let digest = LayerDigest(self.digest_of(layer)?);
            layers.push(Layer::from_blob(
                &self.blob_path(digest.0),
                digest,
                layer.size(),
                layer.media_type().as_ref(),
            )?);
        }
        let platform = Platform {
            architecture: parsed.architecture().to_string(),
            os: parsed.os().to_string(),
        };
        Ok(Image::from_parts(platform, bytes, config, layers))
    }

    /// A small blob's bytes, verified against its descriptor.
    pub fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let expected = self.digest_of(descriptor)?;
        let path = self.blob_path(expected);
        let bytes = read_capped(&path, limit)?;
        let got = Digest::of(&bytes);
        if (got, bytes.len() as u64) != (expected, descriptor.size()) {
            return Err(LayoutError::Blob {
                path,
                expected,
                expected_size: descriptor.size(),
                got,
                got_size: bytes.len() as u64,
            });
        }
        Ok(bytes)
    }

    fn digest_of(&self, descriptor: &Descriptor) -> Result<Digest, LayoutError> {
        let parsed = descriptor.digest().to_string().parse();
        parsed.map_err(|source| LayoutError::Digest {
            path: self.dir.join(INDEX),
            source,
        })
    }
}

fn read_capped(path: &Path, limit: u64) -> Result<Vec<u8>, LayoutError> {
    let failed = io_error("read", path);
    let file = fs_err::File::open(path).map_err(&failed)?;
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    let size = read.map_err(&failed)? as u64;
    if size > limit {
        return Err(LayoutError::TooLarge {
            path: path.to_owned(),
            size,
            limit,
        });
    }
    Ok(bytes)
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> LayoutError {
    move |source| LayoutError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
