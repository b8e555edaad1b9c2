//! Manifests and indexes as a registry sends them. The bytes are kept as they came: their digest is the image's name.

use oci_spec::image as spec;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// What a registry is asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const LAYERS: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// The operating system and processor that an image is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`; matches any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Names a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An image of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `None` where the manifest does not say, which OCI allows.
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Images of several platforms.
#[derive(Clone, Debug)]
pub struct Index {
    /// Each manifest, and what it is for.
    pub manifests: Vec<(Descriptor, Option<Platform>)>,
}

/// Bytes that are not the manifest of an image.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of a manifest's shape.
    #[error("not an image manifest: {0}")]
    Json(String),
    /// Something else than an image.
    #[error("{0:?} is not an image's media type")]
    MediaType(String),
    /// The header and the body disagree.
    #[error("sent as {header}, but says that it is {body}")]
    Disagreement {
        /// `Content-Type`.
        header: String,
        /// `mediaType`.
        body: String,
    },
    /// A digest in another algorithm or form.
    #[error(transparent)]
    Digest(#[from] crate::digest::InvalidDigest),
    /// A layer that lies outside of the registry, at an address that the image names.
    #[error("layer {0} is kept elsewhere, and is not followed there")]
    Foreign(Digest),
}

/// Either kind, told apart.
pub(super) enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// `content_type` is the header that came with the bytes.
    pub(super) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        let header: Header = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Json(error.to_string()))?;
        let sent = content_type
            .and_then(|value| value.split(';').next())
            .map(str::trim);
        let kind = match (&header.media_type, sent) {
            (Some(body), Some(sent)) if body != sent => {
                return Err(ManifestError::Disagreement {
                    header: sent.chars().take(100).collect(),
                    body: body.chars().take(100).collect(),
                });
            }
            (Some(kind), _) => kind.as_str(),
            (None, Some(kind)) => kind,
            (None, None) if header.manifests.is_some() => INDEXES[0],
            (None, None) => MANIFESTS[0],
        };
        if MANIFESTS.contains(&kind) {
            Manifest::parse(bytes).map(Self::Manifest)
        } else if INDEXES.contains(&kind) {
            Index::parse(bytes).map(Self::Index)
        } else {
            Err(ManifestError::MediaType(kind.chars().take(100).collect()))
        }
    }
}

impl Manifest {
    /// Reads a manifest; foreign layers and layers that are no file trees are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: spec::ImageManifest = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Json(error.to_string()))?;
        let layers = manifest
            .layers()
            .iter()
            .map(layer)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            media_type: manifest.media_type().as_ref().map(ToString::to_string),
            config: descriptor(manifest.config())?,
            layers,
        })
    }

    /// The configuration and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl Index {
    /// Reads an index; entries that are not image manifests are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let index: spec::ImageIndex = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Json(error.to_string()))?;
        let mut manifests = Vec::new();
        for entry in index.manifests() {
            let descriptor = descriptor(entry)?;
            let platform = entry.platform().as_ref().map(Platform::from);
            if MANIFESTS.contains(&descriptor.media_type.as_str()) {
                manifests.push((descriptor, platform));
            }
        }
        Ok(Self { manifests })
    }

    /// The first manifest for `wanted`.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let fits = |(_, platform): &&(Descriptor, Option<Platform>)| {
            platform.as_ref().is_some_and(|p| p.serves(wanted))
        };
        self.manifests
            .iter()
            .find(fits)
            .map(|(descriptor, _)| descriptor)
    }
}

impl From<&spec::Platform> for Platform {
    fn from(platform: &spec::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone(),
        }
    }
}

impl Platform {
    /// Whether it is what is wanted; a variant that one side does not name matches any.
    pub fn serves(&self, wanted: &Self) -> bool {
        let variants =
            self.variant.is_none() || wanted.variant.is_none() || self.variant == wanted.variant;
        self.os == wanted.os && self.architecture == wanted.architecture && variants
    }
}

impl std::str::FromStr for Platform {
    type Err = String;

    /// `linux/arm64/v8`, `linux/arm64`, or an architecture alone, which is Linux's.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [architecture] => ("linux", *architecture, None),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some(*variant)),
            _ => ("", "", None),
        };
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if ![os, architecture, variant.unwrap_or("x")]
            .into_iter()
            .all(is_word)
        {
            return Err(format!(
                "{text:?} is not a platform: expected linux/arm64 or arm64"
            ));
        }
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

fn descriptor(from: &spec::Descriptor) -> Result<Descriptor, ManifestError> {
    Ok(Descriptor {
        media_type: from.media_type().to_string(),
        digest: from.digest().to_string().parse()?,
        size: from.size(),
    })
}

fn layer(from: &spec::Descriptor) -> Result<Descriptor, ManifestError> {
    let layer = descriptor(from)?;
    if from.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err(ManifestError::Foreign(layer.digest));
    }
    if !LAYERS.contains(&layer.media_type.as_str()) {
        return Err(ManifestError::MediaType(
            layer.media_type.chars().take(100).collect(),
        ));
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(layer: &str) -> String {
        let digest = Digest::of(b"x");
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"{digest}","size":1}},"layers":[{layer}]}}"#,
            MANIFESTS[0]
        )
    }

    #[test]
    fn only_plain_image_layers() {
        let layer = |kind: &str, digest: &str, size: &str, more: &str| {
            text(&format!(
                r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}{more}}}"#
            ))
        };
        let good = Digest::of(b"y").to_string();
        let gzip = LAYERS[1];
        for kind in LAYERS {
            let manifest = Manifest::parse(layer(kind, &good, "5", "").as_bytes()).unwrap();
            assert_eq!((manifest.layers[0].size, manifest.blobs().count()), (5, 2));
        }
        for bad in [
            layer(
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                &good,
                "5",
                "",
            ),
            layer(gzip, &good, "5", r#","urls":["http://169.254.169.254/"]"#),
            layer(gzip, "sha256:../../x", "5", ""),
            layer(gzip, &good.to_uppercase(), "5", ""),
            layer(gzip, &good, "-5", ""),
            layer(gzip, &good, "5.5", ""),
            layer(gzip, &good, "\"5\"", ""),
            layer(gzip, &good, "5", r#","size":6"#),
            "[".repeat(1_000_000),
            "\u{feff}{}".to_owned(),
        ] {
            assert!(
                Manifest::parse(bad.as_bytes()).is_err(),
                "{}",
                &bad[..bad.len().min(400)]
            );
        }
    }

    #[test]
    fn platforms_as_people_write_them() {
        for (text, shown) in [
            ("arm64", "linux/arm64"),
            ("x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64/v8"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/arm 64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn header_and_body_agree() {
        let body = text("");
        let parse = |kind| Document::parse(body.as_bytes(), kind);
        assert!(matches!(
            parse(Some(MANIFESTS[0])),
            Ok(Document::Manifest(_))
        ));
        assert!(matches!(parse(None), Ok(Document::Manifest(_))));
        assert!(matches!(
            parse(Some(MANIFESTS[1])),
            Err(ManifestError::Disagreement { .. })
        ));
        let schema1 = r#"{"schemaVersion":1,"name":"x"}"#;
        let kind = Some("application/vnd.docker.distribution.manifest.v1+prettyjws");
        assert!(matches!(
            Document::parse(schema1.as_bytes(), kind),
            Err(ManifestError::MediaType(_))
        ));
    }
}
