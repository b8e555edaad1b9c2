//! What differs between two images, down to the first byte. Two [`Unpacked`] images come in, a [`Difference`] goes out.
//! Judges nothing, and knows of files only what any file system knows, of programs what a loader reads, and of bytecode
//! whose source is which.

mod bytecode;
mod cause;
mod fields;
mod files;
mod program;
mod unpacked;

use serde::Serialize;

use crate::digest::{DiffId, LayerDigest, ManifestDigest};
use crate::source::SourceError;
use crate::tar_reader::TarError;
use crate::tree::TreeError;
pub use files::FileChange;
pub use unpacked::{Unpacked, UnpackedLayer};

/// All that differs. Empty lists and equal digests: the images are the same.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The manifests.
    pub digests: [ManifestDigest; 2],
    /// From the manifest's digest to the first byte or field that makes it another one: each line because of the next.
    pub cause: Vec<String>,
    /// Fields of the manifest, without what it says of configuration and layers.
    pub manifest: Vec<Change>,
    /// Fields of the configuration, without the diffIDs.
    pub config: Vec<Change>,
    /// Layers that are not the same, lowest first.
    pub layers: Vec<LayerChange>,
    /// What a container sees, by path.
    pub files: Vec<FileChange>,
}

/// One field with its values; `None`: not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name, as in `config.Labels.version` or `mode`.
    pub field: String,
    /// In the first image.
    pub old: Option<String>,
    /// In the second image.
    pub new: Option<String>,
}

/// A layer that another one took the place of.
#[derive(Clone, Debug, Serialize)]
pub struct LayerChange {
    /// Its place, counted from 0 at the bottom.
    pub layer: usize,
    /// In the first image.
    pub old: Option<LayerSummary>,
    /// In the second image.
    pub new: Option<LayerSummary>,
}

/// A layer in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Of the blob.
    pub digest: LayerDigest,
    /// Of the tar.
    pub diff_id: DiffId,
    /// Of the blob, in bytes.
    pub size: u64,
    /// By the history.
    pub created_by: String,
}

/// Images that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One cannot be read.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// A layer's bytes are no layer, or others than its digest says.
    #[error("{image}: layer {layer}")]
    Layer {
        /// Which image.
        image: String,
        /// Counted from 0 at the bottom.
        layer: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A layer that is compressed in a way that is not understood.
    #[error("{image}: layer {layer} is zstd; only gzip and plain tars can be compared")]
    Zstd {
        /// Which image.
        image: String,
        /// Counted from 0 at the bottom.
        layer: usize,
    },
    /// A layer's tar is refused, or it does not fit on those below.
    #[error("{image}: layer {layer}")]
    Tree {
        /// Which image.
        image: String,
        /// Counted from 0 at the bottom.
        layer: usize,
        /// Why.
        source: Box<TreeError>,
    },
    /// A tar that could be read a moment ago.
    #[error(transparent)]
    Tar(Box<TarError>),
    /// Unpacked content that cannot be read, or a folder that cannot be written.
    #[error("cannot use the folder for unpacked layers")]
    Scratch(#[from] std::io::Error),
}

impl From<TarError> for DiffError {
    fn from(error: TarError) -> Self {
        Self::Tar(error.into())
    }
}

impl From<SourceError> for DiffError {
    fn from(error: SourceError) -> Self {
        Self::Source(error.into())
    }
}

impl DiffError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Layer { .. } => Some("the image is damaged; build or copy it again".to_owned()),
            Self::Zstd { .. } => Some("Lambda takes gzip layers only; convert it".to_owned()),
            Self::Tree { source, .. } => source.hint().map(str::to_owned),
            Self::Tar(_) => None,
            Self::Scratch(_) => {
                Some("layers are unpacked in the cache folder; see --cache-dir".to_owned())
            }
        }
    }
}

impl Difference {
    /// Compares two images. In memory: a name and some numbers per file, and one program at a time.
    pub fn between(old: &Unpacked, new: &Unpacked) -> Result<Self, DiffError> {
        let digests = [old.image.digest(), new.image.digest()];
        if digests[0] == digests[1] {
            return Ok(Self::none(digests[0]));
        }
        let manifest = fields::between(
            &old.image.manifest_bytes,
            &new.image.manifest_bytes,
            &["config", "layers"],
        );
        let config = fields::between(
            &old.image.config_bytes,
            &new.image.config_bytes,
            &["rootfs"],
        );
        let layers = layers(old, new);
        Ok(Self {
            digests,
            cause: cause::chain([old, new], &manifest, &config, &layers)?,
            manifest,
            config,
            layers,
            files: files::between(old, new)?,
        })
    }

    /// That of an image and itself.
    pub fn none(digest: ManifestDigest) -> Self {
        Self {
            digests: [digest; 2],
            cause: Vec::new(),
            manifest: Vec::new(),
            config: Vec::new(),
            layers: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.digests[0] == self.digests[1]
    }
}

impl Change {
    fn new(field: impl Into<String>, old: impl Into<String>, new: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            old: Some(old.into()),
            new: Some(new.into()),
        }
    }

    fn added(field: &str, new: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            old: None,
            new: Some(new.into()),
        }
    }

    fn removed(field: &str, old: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            old: Some(old.into()),
            new: None,
        }
    }
}

fn layers(old: &Unpacked, new: &Unpacked) -> Vec<LayerChange> {
    let count = old.layers.len().max(new.layers.len());
    let pair = |layer: usize| {
        let [old, new] =
            [old, new].map(|image| image.layers.get(layer).map(UnpackedLayer::summary));
        let same = |old: &LayerSummary, new: &LayerSummary| {
            (old.digest, old.diff_id) == (new.digest, new.diff_id)
        };
        match (&old, &new) {
            (Some(a), Some(b)) if same(a, b) => None,
            _ => Some(LayerChange { layer, old, new }),
        }
    };
    (0..count).filter_map(pair).collect()
}

#[cfg(test)]
mod tests;
