//! Images: layers plus a configuration become a manifest. Bytes are decided here, once: the same input gives the same
//! digests.

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;
use serde::Serialize;

use crate::digest::{ConfigDigest, DiffId, Digest, ManifestDigest};
use crate::epoch::Epoch;
use crate::layer::Layer;
use crate::media_type;

/// What stands in the `comment` of the history of layers that were made here: how a check tells them from a base's.
pub const OWN_LAYER: &str = "imgbuild";

/// What an image runs on, in Go's words, as registries use them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
}

impl Platform {
    /// Linux on an architecture.
    pub fn linux(architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
        }
    }
}

/// What a container of the image starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// Variables in this order.
    pub env: Vec<(String, String)>,
    /// Absolute path; empty: the root.
    pub workdir: String,
    /// Program and first arguments; its path is absolute.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
}

/// A finished image: its documents byte for byte, and its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    platform: Platform,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<Layer>,
}

/// An image that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The base's configuration cannot be read.
    #[error("the base image's configuration cannot be read")]
    BaseConfig(#[source] oci_spec::OciSpecError),
    /// The base's configuration is of another platform.
    #[error("the base image is {got}, not {expected}")]
    BasePlatform {
        /// The image's.
        expected: String,
        /// The base's.
        got: String,
    },
    /// The base's layers are not those of its configuration.
    #[error("the base image's layer {layer} has diffID {got}, its configuration says {expected}")]
    BaseDiffId {
        /// Number from 1.
        layer: usize,
        /// By the configuration.
        expected: String,
        /// By the bytes.
        got: String,
    },
    /// No layers at all.
    #[error("an image needs at least one layer")]
    NoLayers,
    /// A variable that no process could have.
    #[error("{0:?} cannot be the name of an environment variable")]
    EnvName(String),
}

impl ImageError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BasePlatform { .. } => Some("pin the base's digest for this architecture"),
            _ => None,
        }
    }
}

/// Collects what an image is made of.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    platform: Platform,
    epoch: Epoch,
    layers: Vec<Layer>,
    history: Vec<History>,
    run: RunConfig,
    annotations: BTreeMap<String, String>,
}

impl ImageBuilder {
    /// An image without layers.
    pub fn new(platform: Platform, epoch: Epoch) -> Self {
        Self {
            platform,
            epoch,
            layers: Vec::new(),
            history: Vec::new(),
            run: RunConfig::default(),
            annotations: BTreeMap::new(),
        }
    }

    /// Puts a base image's layers below everything added later; their bytes and digests stay. `config` is the base's
    /// configuration as pulled, of OCI or Docker: its history is kept, its run configuration is not.
    pub fn base(mut self, layers: Vec<Layer>, config: &[u8]) -> Result<Self, ImageError> {
        let config = ImageConfiguration::from_reader(config).map_err(ImageError::BaseConfig)?;
        let got = format!("{}/{}", config.os(), config.architecture());
        let expected = format!("{}/{}", self.platform.os, self.platform.architecture);
        if got != expected {
            return Err(ImageError::BasePlatform { expected, got });
        }
        let said = config.rootfs().diff_ids();
        for i in 0..layers.len().max(said.len()) {
            let got = layers.get(i).map(|layer| layer.diff_id().to_string());
            if got.as_ref() != said.get(i) {
                return Err(ImageError::BaseDiffId {
                    layer: i + 1,
                    expected: said.get(i).cloned().unwrap_or_else(|| "none".to_owned()),
                    got: got.unwrap_or_else(|| "none".to_owned()),
                });
            }
        }
        self.history
            .extend(base_history(&layers, &config, self.epoch));
        self.layers.extend(layers);
        Ok(self)
    }

    /// Puts a layer that was made here on top; `created_by` says in a few words what it holds.
    pub fn layer(mut self, layer: Layer, created_by: &str) -> Self {
        self.layers.push(layer);
        self.history.push(History {
            created: Some(self.epoch.rfc3339()),
            created_by: created_by.to_owned(),
            comment: Some(OWN_LAYER.to_owned()),
        });
        self
    }

    /// Puts a layer on top that holds an operating system of somebody else, which has no configuration of its own.
    pub fn base_layer(mut self, layer: Layer, created_by: &str) -> Self {
        self.layers.push(layer);
        self.history.push(History {
            created: Some(self.epoch.rfc3339()),
            created_by: created_by.to_owned(),
            comment: None,
        });
        self
    }

    /// Sets what a container starts with.
    pub fn run(mut self, run: RunConfig) -> Self {
        self.run = run;
        self
    }

    /// Adds an annotation to the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Decides the bytes.
    pub fn build(self) -> Result<Image, ImageError> {
        if self.layers.is_empty() {
            return Err(ImageError::NoLayers);
        }
        let mut env = Vec::with_capacity(self.run.env.len());
        for (name, value) in &self.run.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(ImageError::EnvName(name.clone()));
            }
            env.push(format!("{name}={value}"));
        }
        let config = json(&Config {
            created: self.epoch.rfc3339(),
            platform: &self.platform,
            config: Run {
                env,
                entrypoint: &self.run.entrypoint,
                cmd: &self.run.cmd,
                working_dir: &self.run.workdir,
                labels: &self.run.labels,
            },
            rootfs: RootFs {
                kind: "layers",
                diff_ids: self.layers.iter().map(Layer::diff_id).collect(),
            },
            history: &self.history,
        });
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            config: Descriptor {
                media_type: media_type::CONFIG,
                digest: Digest::of(&config),
                size: config.len() as u64,
            },
            layers: self
                .layers
                .iter()
                .map(|layer| Descriptor {
                    media_type: layer.media_type(),
                    digest: layer.digest().0,
                    size: layer.size(),
                })
                .collect(),
            annotations: &self.annotations,
        });
        Ok(Image {
            platform: self.platform,
            manifest,
            config,
            layers: self.layers,
        })
    }
}

impl Image {
    /// From verified bytes.
    pub(crate) fn from_parts(
        platform: Platform,
        manifest: Vec<u8>,
        config: Vec<u8>,
        layers: Vec<Layer>,
    ) -> Self {
        Self {
            platform,
            manifest,
            config,
            layers,
        }
    }

    /// What it runs on.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// What a reference to this image pins.
    pub fn manifest_digest(&self) -> ManifestDigest {
        ManifestDigest(Digest::of(&self.manifest))
    }

    /// The configuration's bytes.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The configuration's digest: what Docker calls the image's ID.
    pub fn config_digest(&self) -> ConfigDigest {
        ConfigDigest(Digest::of(&self.config))
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

/// Exactly one entry per layer: the base's own where it has them, without the ones that made no layer.
fn base_history(layers: &[Layer], config: &ImageConfiguration, epoch: Epoch) -> Vec<History> {
    let known: Vec<History> = config
        .history()
        .iter()
        .flatten()
        .filter(|history| !history.empty_layer().unwrap_or(false))
        .map(|history| History {
            created: history.created().clone(),
            created_by: match history.created_by() {
                Some(text) if !text.is_empty() => text.clone(),
                _ => "base image".to_owned(),
            },
            comment: history
                .comment()
                .clone()
                .filter(|comment| comment != OWN_LAYER),
        })
        .collect();
    if known.len() == layers.len() {
        return known;
    }
    let made_up = layers.iter().map(|layer| History {
        created: Some(epoch.rfc3339()),
        created_by: format!("base image layer {}", layer.digest()),
        comment: None,
    });
    made_up.collect()
}

/// The documents' bytes. Field order is the order of the structs, maps are sorted.
pub(crate) fn json(document: &impl Serialize) -> Vec<u8> {
    // Structs with string keys into memory: neither the data nor the writer can fail.
    serde_json::to_vec(document).expect("documents are plain data")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
}

#[derive(Serialize)]
struct Config<'a> {
    created: String,
    #[serde(flatten)]
    platform: &'a Platform,
    config: Run<'a>,
    rootfs: RootFs,
    history: &'a [History],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Run<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cmd: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    working_dir: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<DiffId>,
}

#[derive(Clone, Debug, Serialize)]
struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[cfg(test)]
mod tests;
