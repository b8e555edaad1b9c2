//! OCI images as values. What comes in: trees of files, layer blobs, references. What goes out: layers, images,
//! layouts, pulled and pushed blobs. Knows nothing of recipes, Python or Lambda functions.
#![forbid(unsafe_code)]

mod blob;
pub mod copy;
pub mod diff;
pub mod digest;
pub mod entry;
pub mod epoch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gzip;
pub mod image;
pub mod layer;
pub mod layout;
pub mod limits;
pub mod media_type;
mod parallel;
pub mod path;
pub mod registry;
pub mod root;
pub mod source;
pub mod tar_reader;
pub mod tar_writer;
pub mod tarball;
pub mod tree;
pub mod validate;

pub use blob::write as write_file;
pub use digest::{ConfigDigest, DiffId, Digest, LayerDigest, ManifestDigest};
pub use entry::{Content, Entry, Kind};
pub use epoch::Epoch;
pub use image::{Image, ImageBuilder, ImageError, Platform, RunConfig};
pub use layer::{Layer, LayerError, LayerWriter};
pub use layout::{Layout, LayoutError};
pub use limits::{Bomb, Bounded, Limits};
pub use path::ImagePath;
pub use root::{RootError, layer_tree, root_tree};
pub use tarball::{TarballError, write_tarball};
pub use tree::{Tree, TreeError, Whiteout};
pub use validate::{Finding, Report, Rule, Severity, validate, validate_layout};
