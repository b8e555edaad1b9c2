//! Why an image cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use super::Mismatch;
use crate::Digest;
use crate::layer::LayerError;
use crate::layout::LayoutError;
use crate::limits::Bomb;
use crate::registry::{ManifestError, PullError, TransferError};
use crate::tree::TreeError;

/// An image that cannot be read where it is.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
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
    /// No layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file that is no tar, or one that is refused.
    #[error("cannot read the archive {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<TreeError>,
    },
    /// An archive that cannot be decompressed.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A folder or file that holds something else.
    #[error("{} holds no image", .0.display())]
    NotAnImage(PathBuf),
    /// None or several of the images have the name.
    #[error("{} holds {}", path.display(), which(asked, names))]
    Which {
        /// The folder or file.
        path: PathBuf,
        /// The name, as it stood behind the path; empty: none.
        asked: String,
        /// The names that there are.
        names: String,
    },
    /// Something that is named and not there.
    #[error("{shown}: {what} is missing")]
    Missing {
        /// What.
        what: String,
        /// The image.
        shown: String,
    },
    /// A document whose bytes are others.
    #[error("{shown}: {source}")]
    Blob {
        /// The image.
        shown: String,
        /// What was expected, and what came.
        source: Mismatch,
    },
    /// A document larger than any real one.
    #[error("{shown}: {what} has {size} bytes, more than {limit}")]
    TooLarge {
        /// The image.
        shown: String,
        /// The document.
        what: Digest,
        /// By its descriptor.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A document that is no JSON of its kind.
    #[error("{what} cannot be understood")]
    Json {
        /// Which document.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest or index that is none.
    #[error("{shown}: {source}")]
    Manifest {
        /// The image.
        shown: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// An index that holds another number of images for the platform than one.
    #[error("{shown} {}, only for {there}", not_one(wanted))]
    Platform {
        /// The index.
        shown: String,
        /// What was asked for.
        wanted: Option<String>,
        /// What there is.
        there: String,
    },
    /// The registry.
    #[error(transparent)]
    Pull(#[from] PullError),
}

fn which(asked: &str, names: &str) -> String {
    let what = match asked {
        "" => "not exactly one image".to_owned(),
        asked => format!("not exactly one image {asked}"),
    };
    match names {
        "" => what,
        names => format!("{what}; there are {names}"),
    }
}

fn not_one(wanted: &Option<String>) -> String {
    match wanted {
        Some(platform) => format!("has no image for {platform}"),
        None => "is an index and has not exactly one image".to_owned(),
    }
}

impl SourceError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether the image is damaged, rather than out of reach.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Blob { .. }
            | Self::TooLarge { .. }
            | Self::Json { .. }
            | Self::Manifest { .. } => true,
            Self::Pull(PullError::Transfer(error)) => matches!(
                error,
                TransferError::Mismatch { .. } | TransferError::Size { .. }
            ),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Pull(error) => return error.hint(),
            Self::Layout(LayoutError::NotALayout(_))
            | Self::NotAnImage(_)
            | Self::Archive { .. } => "name an OCI layout, or a tarball of one or of `docker save`",
            Self::Layout(error) => return error.hint().map(str::to_owned),
            Self::Layer(error) => return error.hint().map(str::to_owned),
            Self::Io { source, .. } if Bomb::of(source).is_some() => Bomb::HINT,
            Self::Which { .. } => "choose one with :NAME or @sha256:DIGEST behind the path",
            Self::Platform { .. } => "choose one of them with --arch",
            Self::Missing { .. } | Self::Blob { .. } => {
                "the image is damaged; build or copy it again"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
