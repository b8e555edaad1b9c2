//! OCI images as values. What comes in: trees of files, layer blobs, references. What goes out: layers, images,
//! layouts, pulled and pushed blobs. Knows nothing of recipes, Python or Lambda functions.
#![forbid(unsafe_code)]

pub mod digest;

pub use digest::{ConfigDigest, DiffId, Digest, LayerDigest, ManifestDigest};
