//! OCI layouts: an image as a folder. Written so that a reader sees the old image or the new one, whenever the writer
//! is killed; read with every byte verified.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Serialize;

use crate::blob;
use crate::digest::{Digest, InvalidDigest, LayerDigest, ManifestDigest};
use crate::image::{self, Image, Platform};
use crate::layer::{Layer, LayerError};
use crate::media_type;

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256";
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
    /// Writes an image as the only one of a layout. `dir` may be missing, empty, or a layout, whose image is then
    /// replaced: first the new blobs are added, then the index is exchanged, last the old blobs are removed. Layer
    /// blobs are hard-linked where the file system can.
    ///
    /// Takes a lock on the folder around `dir`: writers in one folder wait for each other.
    pub fn write(dir: &Path, image: &Image, reference: &str) -> Result<Self, LayoutError> {
        let around = blob::parent(dir);
        fs_err::create_dir_all(around).map_err(io_error("make", around))?;
        let _lock = lock(around)?;
        let layout = Self {
            dir: dir.to_owned(),
        };
        if dir.join(MARKER).is_file() {
            layout.replace(image, reference)?;
        } else if is_free(dir)? {
            create(dir, around, image, reference)?;
        } else {
            return Err(LayoutError::NotALayout(dir.to_owned()));
        }
        Ok(layout)
    }

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

    /// Exchanges the image of an existing layout. The index's rename is the one step that counts.
    fn replace(&self, image: &Image, reference: &str) -> Result<(), LayoutError> {
        put_blobs(&self.dir, image)?;
        put(&self.dir.join(INDEX), &index_of(image, reference))?;
        for name in self.blobs()? {
            if !blobs_of(image).any(|digest| name == digest.hex()) {
                let path = self.dir.join(BLOBS).join(name);
                fs_err::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Makes the layout beside its place and moves it there.
fn create(dir: &Path, around: &Path, image: &Image, reference: &str) -> Result<(), LayoutError> {
    let prefix = format!(
        ".{}.partial-",
        dir.file_name().unwrap_or_default().to_string_lossy()
    );
    // Left by a writer that was killed: a living one would hold the lock.
    let list = io_error("list", around);
    for entry in fs_err::read_dir(around).map_err(&list)? {
        let entry = entry.map_err(&list)?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let path = entry.path();
            fs_err::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
    }
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(around)
        .map_err(io_error("write to", around))?;
    put_blobs(temporary.path(), image)?;
    put(&temporary.path().join(MARKER), MARKER_BYTES)?;
    put(&temporary.path().join(INDEX), &index_of(image, reference))?;
    fs_err::rename(temporary.path(), dir).map_err(io_error("write", dir))?;
    // It is no longer under its temporary name.
    let _ = temporary.keep();
    blob::sync_dir(around).map_err(io_error("write", around))
}

fn put_blobs(dir: &Path, image: &Image) -> Result<(), LayoutError> {
    let blobs = dir.join(BLOBS);
    fs_err::create_dir_all(&blobs).map_err(io_error("make", &blobs))?;
    for layer in image.layers() {
        let to = blobs.join(layer.digest().0.hex());
        link_or_copy(layer.path(), &to).map_err(io_error("write", &to))?;
    }
    for bytes in [image.config(), image.manifest()] {
        put(&blobs.join(Digest::of(bytes).hex()), bytes)?;
    }
    blob::sync_dir(&blobs).map_err(io_error("write", &blobs))
}

/// Gives a finished file a second name, or copies it where that is not possible. Replaces what is there: its bytes
/// are not known.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    let same = |a: &Path, b: &Path| -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let (a, b) = (fs_err::metadata(a)?, fs_err::metadata(b)?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    };
    if to.exists() && same(from, to)? {
        return Ok(());
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let temporary = to.with_file_name(format!(".{name}"));
    if temporary.exists() {
        fs_err::remove_file(&temporary)?;
    }
    if fs_err::hard_link(from, &temporary).is_ok() {
        return fs_err::rename(&temporary, to);
    }
    let mut copy = tempfile::NamedTempFile::new_in(blob::parent(to))?;
    io::copy(fs_err::File::open(from)?.file_mut(), copy.as_file_mut())?;
    blob::commit(copy, to)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    blob::write(path, bytes).map_err(io_error("write", path))
}

fn blobs_of(image: &Image) -> impl Iterator<Item = Digest> {
    let documents = [image.manifest_digest().0, image.config_digest().0];
    let layers = image.layers().iter().map(|layer| layer.digest().0);
    documents.into_iter().chain(layers)
}

/// Whether something can be moved there: nothing, or an empty folder.
fn is_free(dir: &Path) -> Result<bool, LayoutError> {
    match fs_err::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(e) => Err(io_error("list", dir)(e)),
    }
}

fn lock(dir: &Path) -> Result<fs_err::File, LayoutError> {
    let file = fs_err::File::open(dir).map_err(io_error("open", dir))?;
    match file.file().lock() {
        // Some network file systems have no locks.
        Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(io_error("lock", dir)(e)),
        _ => Ok(file),
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

/// The index of a layout with one image.
pub(crate) fn index_json(image: &Image, annotations: &BTreeMap<&str, &str>) -> Vec<u8> {
    image::json(&Index {
        schema_version: 2,
        media_type: media_type::INDEX,
        manifests: [IndexEntry {
            media_type: media_type::MANIFEST,
            digest: image.manifest_digest(),
            size: image.manifest().len(),
            platform: image.platform(),
            annotations,
        }],
    })
}

fn index_of(image: &Image, reference: &str) -> Vec<u8> {
    index_json(image, &BTreeMap::from([(REF_NAME, reference)]))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: [IndexEntry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry<'a> {
    media_type: &'a str,
    digest: ManifestDigest,
    size: usize,
    platform: &'a Platform,
    annotations: &'a BTreeMap<&'a str, &'a str>,
}

#[cfg(test)]
mod tests;
