//! An image whose layers lie as plain tars on this machine, and the root file system that they amount to.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DiffError, LayerSummary};
use crate::ImagePath;
use crate::digest::{DiffId, Digest, Hasher, LayerDigest};
use crate::layer::Unpacker;
use crate::registry::{Descriptor, Platform};
use crate::source::{ImageSource, SourceImage};
use crate::tree::{Tree, TreeError};

/// One image, ready to be compared.
pub struct Unpacked {
    /// Its documents.
    pub image: SourceImage,
    /// Lowest first.
    pub layers: Vec<UnpackedLayer>,
    /// What a container sees; the content of files lies in the layers' tars.
    pub root: Tree,
}

/// One layer of it.
pub struct UnpackedLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// Of the tar, as computed.
    pub diff_id: DiffId,
    /// The tar.
    pub tar: PathBuf,
    /// By the history.
    pub created_by: String,
    paths: BTreeSet<ImagePath>,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    history: Option<Vec<History>>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    empty_layer: Option<bool>,
}

impl Unpacked {
    /// Reads every layer once and checks its digest. `scratch` receives the tars, each under its blob's digest: a layer
    /// that two images share is unpacked once. It must stay while the value is used.
    pub fn new(
        source: &ImageSource,
        platform: Option<&Platform>,
        scratch: &Path,
    ) -> Result<Self, DiffError> {
        let image = source.image(platform)?;
        let names = created_by(&image);
        let mut layers = Vec::with_capacity(image.manifest.layers.len());
        let mut root = Tree::new();
        for (layer, descriptor) in image.manifest.layers.iter().enumerate() {
            let shown = source.shown().to_owned();
            let failed = |error: io::Error| match error.kind() {
                io::ErrorKind::Unsupported => DiffError::Zstd {
                    image: shown.clone(),
                    layer,
                },
                _ => DiffError::Layer {
                    image: shown.clone(),
                    layer,
                    source: error,
                },
            };
            let (tar, diff_id) = tar_of(source, descriptor, scratch)?.map_err(failed)?;
            let refused = |source: TreeError| DiffError::Tree {
                image: shown.clone(),
                layer,
                source: source.into(),
            };
            let tree = Tree::from_tar(&tar).map_err(refused)?;
            layers.push(UnpackedLayer {
                descriptor: descriptor.clone(),
                diff_id,
                tar,
                created_by: names.get(layer).cloned().unwrap_or_default(),
                paths: tree.iter().map(|(path, _)| path.clone()).collect(),
            });
            root = root.with_layer(tree).map_err(refused)?;
        }
        Ok(Self {
            image,
            layers,
            root,
        })
    }

    /// The layer that a path comes from: the highest that has it.
    pub fn layer_of(&self, path: &ImagePath) -> Option<usize> {
        self.layers
            .iter()
            .rposition(|layer| layer.paths.contains(path))
    }
}

impl UnpackedLayer {
    /// The layer in a few words.
    pub fn summary(&self) -> LayerSummary {
        LayerSummary {
            digest: LayerDigest(self.descriptor.digest),
            diff_id: self.diff_id,
            size: self.descriptor.size,
            created_by: self.created_by.clone(),
        }
    }
}

/// What the history says of each layer; nothing when it does not have one entry per layer.
fn created_by(image: &SourceImage) -> Vec<String> {
    let config: Config = serde_json::from_slice(&image.config_bytes).unwrap_or_default();
    let history = config.history.unwrap_or_default();
    let names: Vec<String> = history
        .into_iter()
        .filter(|entry| !entry.empty_layer.unwrap_or(false))
        .map(|entry| entry.created_by.unwrap_or_default())
        .collect();
    match names.len() == image.manifest.layers.len() {
        true => names,
        false => Vec::new(),
    }
}

/// The plain tar of a layer, and its digest. The outer error is the source's, the inner one the bytes'.
fn tar_of(
    source: &ImageSource,
    descriptor: &Descriptor,
    scratch: &Path,
) -> Result<io::Result<(PathBuf, DiffId)>, DiffError> {
    let tar = scratch.join(format!("{}.tar", descriptor.digest.hex()));
    let mut blob = source.blob(descriptor)?;
    if tar.exists() {
        // Unpacked from another image's copy; this one may be damaged.
        if let Err(error) = io::copy(&mut blob, &mut io::sink()) {
            return Ok(Err(error));
        }
        let (digest, _) = Digest::of_reader(fs_err::File::open(&tar)?)?;
        return Ok(Ok((tar, DiffId(digest))));
    }
    let temporary = tempfile::NamedTempFile::new_in(scratch)?;
    let mut out = Hasher::new(BufWriter::with_capacity(1 << 20, temporary));
    let mut start = Vec::new();
    let unpacked = (&mut blob).take(4).read_to_end(&mut start).and_then(|_| {
        let is_gzip = start.starts_with(&[0x1f, 0x8b]);
        if start == [0x28, 0xb5, 0x2f, 0xfd] {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let bytes = io::Cursor::new(start).chain(&mut blob);
        if is_gzip {
            io::copy(&mut Unpacker::new(bytes, descriptor.size), &mut out)
        } else {
            io::copy(&mut { bytes }, &mut out)
        }
    });
    // Other bytes than the digest's are the better explanation for whatever else failed.
    let rest = io::copy(&mut blob, &mut io::sink());
    if let Err(error) = rest.and(unpacked) {
        return Ok(Err(error));
    }
    let (digest, _, mut out) = out.finish();
    out.flush()?;
    let temporary = out.into_inner().map_err(|e| e.into_error())?;
    temporary.persist(&tar).map_err(|e| e.error)?;
    Ok(Ok((tar, DiffId(digest))))
}
