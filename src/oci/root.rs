//! From layers back to the root file system that a container of the image sees.

use std::path::Path;
use std::thread;

use crate::digest::Digest;
use crate::image::Image;
use crate::layer::{Layer, LayerError};
use crate::tree::{Tree, TreeError};

/// A root file system that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A layer cannot be unpacked.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A layer's tar is refused, or it does not fit on the layers below.
    #[error("layer {layer}")]
    Tree {
        /// Which one.
        layer: crate::LayerDigest,
        /// Why.
        source: TreeError,
    },
}

impl RootError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Layer(error) => error.hint(),
            Self::Tree { source, .. } => source.hint(),
        }
    }
}

impl Image {
    /// All layers on top of each other. Uncompressed tars are put into `scratch` under their diffID and used again
    /// when they are still right; the tree's file content lies in them.
    pub fn root_tree(&self, scratch: &Path) -> Result<Tree, RootError> {
        root_tree(self.layers(), scratch)
    }
}

/// Layers on top of each other, lowest first. See [`Image::root_tree`].
pub fn root_tree(layers: &[Layer], scratch: &Path) -> Result<Tree, RootError> {
    // On a thread of its own, whose memory the system gets back with the tree: between this one's own allocations a large
    // tree would leave holes, and the next would need as much again.
    thread::scope(|scope| {
        let merging = scope.spawn(|| merged(layers, scratch));
        let tree = merging.join();
        tree.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn merged(layers: &[Layer], scratch: &Path) -> Result<Tree, RootError> {
    let mut root = Tree::new();
    for layer in layers {
        let tree = layer_tree(layer, scratch)?;
        root = root.with_layer(tree).map_err(|source| RootError::Tree {
            layer: layer.digest(),
            source,
        })?;
    }
    Ok(root)
}

/// One layer's own entries and removals; its uncompressed tar is put into `scratch`.
pub fn layer_tree(layer: &Layer, scratch: &Path) -> Result<Tree, RootError> {
    let failed = |source| RootError::Tree {
        layer: layer.digest(),
        source,
    };
    fs_err::create_dir_all(scratch).map_err(|e| failed(e.into()))?;
    let tar = scratch.join(format!("{}.tar", layer.diff_id().0.hex()));
    let is_right = fs_err::File::open(&tar)
        .and_then(Digest::of_reader)
        .is_ok_and(|(digest, _)| digest == layer.diff_id().0);
    if !is_right {
        layer.unpack_to(&tar)?;
    }
    Tree::from_tar(&tar).map_err(failed)
}
