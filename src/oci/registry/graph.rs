//! What an image, an index or an artifact consists of: comes in its document, goes out every document and blob below it.
//! Reads the links only; whether an image is a good one is judged elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::manifest::ManifestError;
use super::{Descriptor, Platform};
use crate::{Digest, media_type};

/// Indexes within indexes; more is a loop or a trap.
const MAX_DEPTH: usize = 3;
/// The configuration of an artifact that needs none.
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// More documents than any real index has.
const MAX_DOCUMENTS: usize = 1000;

/// A manifest or an index, as its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub digest: Digest,
    /// What a registry is told that it is.
    pub media_type: String,
    /// The bytes that the digest is of.
    pub bytes: Vec<u8>,
}

/// What a document points to.
#[derive(Clone, Debug)]
pub struct Links {
    /// What it is.
    pub media_type: String,
    /// What kind of artifact it is, if it is one: its own word, else its configuration's type.
    pub artifact_type: Option<String>,
    /// The configuration and the layers of a manifest, lowest first.
    pub blobs: Vec<Descriptor>,
    /// The manifests of an index.
    pub manifests: Vec<Entry>,
    /// What it is attached to.
    pub subject: Option<Digest>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One manifest in an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The type of the document.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Everything below a document.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Every document before the ones that point to it; the one asked for is the last.
    pub documents: Vec<Document>,
    /// Each blob once.
    pub blobs: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawBlob>,
    layers: Option<Vec<RawBlob>>,
    manifests: Option<Vec<Entry>>,
    subject: Option<RawBlob>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlob {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// An index as it is written: the same manifests, the same bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Entry],
}

impl Document {
    /// Of bytes, whose digest is computed.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(&bytes),
            media_type: media_type.to_owned(),
            bytes,
        }
    }

    /// Of bytes, which say themselves what they are.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ManifestError> {
        let links = Links::parse(&bytes)?;
        Ok(Self::new(&links.media_type, bytes))
    }

    /// An OCI index of these manifests, in this order.
    pub fn index(manifests: &[Entry]) -> Self {
        let index = Index {
            schema_version: 2,
            media_type: media_type::INDEX,
            manifests,
        };
        Self::new(media_type::INDEX, crate::image::json(&index))
    }

    /// How an index lists it.
    pub fn entry(&self, platform: Option<Platform>) -> Entry {
        Entry {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: self.bytes.len() as u64,
            platform,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// How others point to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: self.bytes.len() as u64,
        }
    }

    /// Whether it lists manifests.
    pub fn is_index(&self) -> bool {
        media_type::is_index(&self.media_type)
    }
}

impl Links {
    /// Reads a manifest or an index. Layers that are kept elsewhere are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let invalid = |reason: &str| ManifestError::Json(reason.to_owned());
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| invalid(&error.to_string()))?;
        let kind = match (&raw.layers, &raw.manifests) {
            (Some(_), None) => media_type::MANIFEST,
            (None, Some(_)) => media_type::INDEX,
            (Some(_), Some(_)) => return Err(invalid("it has both layers and manifests")),
            (None, None) => return Err(invalid("it has neither layers nor manifests")),
        };
        let config_type = raw.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = raw.artifact_type.or_else(|| {
            config_type.filter(|kind| {
                !matches!(
                    kind.as_str(),
                    media_type::CONFIG | media_type::DOCKER_CONFIG | EMPTY
                )
            })
        });
        let mut blobs = Vec::new();
        for blob in raw.config.into_iter().chain(raw.layers.unwrap_or_default()) {
            if !blob.urls.is_empty() {
                return Err(ManifestError::Foreign(blob.digest));
            }
            blobs.push(Descriptor {
                media_type: blob.media_type,
                digest: blob.digest,
                size: blob.size,
            });
        }
        Ok(Self {
            media_type: raw.media_type.unwrap_or_else(|| kind.to_owned()),
            artifact_type,
            blobs,
            manifests: raw.manifests.unwrap_or_default(),
            subject: raw.subject.map(|subject| subject.digest),
            annotations: raw.annotations.unwrap_or_default(),
        })
    }
}

impl Graph {
    /// Everything below `root`; `read` gives the exact bytes of the documents that it lists.
    pub fn of<E: From<ManifestError>>(
        root: Document,
        read: &mut dyn FnMut(&Entry) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let mut graph = Self {
            documents: Vec::new(),
            blobs: Vec::new(),
        };
        graph.add(root, read, 0)?;
        Ok(graph.each_once())
    }

    /// An index on top of images.
    pub fn index(images: Vec<(Self, Platform)>) -> Self {
        let mut all = Self {
            documents: Vec::new(),
            blobs: Vec::new(),
        };
        let mut entries = Vec::new();
        for (image, platform) in images {
            entries.push(image.root().entry(Some(platform)));
            all.documents.extend(image.documents);
            all.blobs.extend(image.blobs);
        }
        all.documents.push(Document::index(&entries));
        all.each_once()
    }

    /// Leaves out what is there twice.
    pub fn each_once(mut self) -> Self {
        let (mut documents, mut blobs) = (BTreeSet::new(), BTreeSet::new());
        self.documents
            .retain(|document| documents.insert(document.digest));
        self.blobs.retain(|blob| blobs.insert(blob.digest));
        self
    }

    fn add<E: From<ManifestError>>(
        &mut self,
        document: Document,
        read: &mut dyn FnMut(&Entry) -> Result<Vec<u8>, E>,
        depth: usize,
    ) -> Result<(), E> {
        let invalid = |reason: &str| ManifestError::Json(reason.to_owned());
        if depth > MAX_DEPTH || self.documents.len() >= MAX_DOCUMENTS {
            return Err(invalid("it lists indexes within indexes without end").into());
        }
        let links = Links::parse(&document.bytes)?;
        for entry in &links.manifests {
            if self
                .documents
                .iter()
                .any(|known| known.digest == entry.digest)
            {
                continue;
            }
            let child = Document::new(&entry.media_type, read(entry)?);
            self.add(child, read, depth + 1)?;
        }
        self.blobs.extend(links.blobs);
        self.documents.push(document);
        Ok(())
    }

    /// The document that was asked for.
    pub fn root(&self) -> &Document {
        self.documents.last().expect("a graph has its root")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(digest: &Digest, more: &str) -> String {
        format!(r#"{{"mediaType":"application/x","digest":"{digest}","size":3{more}}}"#)
    }

    fn manifest(layer: &str) -> Vec<u8> {
        let config = blob(&Digest::of(b"config"), "");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#).into_bytes()
    }

    #[test]
    fn every_document_comes_before_the_one_that_points_to_it() {
        let shared = blob(&Digest::of(b"one"), "");
        let leaves = [
            Document::new(media_type::MANIFEST, manifest(&shared)),
            Document::new(
                media_type::MANIFEST,
                manifest(&format!("{shared},{}", blob(&Digest::of(b"two"), ""))),
            ),
        ];
        let entries: Vec<Entry> = leaves.iter().map(|leaf| leaf.entry(None)).collect();
        let inner = Document::index(&entries[..1]);
        let root = Document::index(&[inner.entry(None), entries[1].clone(), entries[0].clone()]);
        let all = [leaves.to_vec(), vec![inner.clone()]].concat();
        let mut reads = 0;
        let graph = Graph::of::<ManifestError>(root.clone(), &mut |entry| {
            reads += 1;
            let found = all.iter().find(|document| document.digest == entry.digest);
            Ok(found.unwrap().bytes.clone())
        });
        let graph = graph.unwrap();
        let order: Vec<Digest> = graph
            .documents
            .iter()
            .map(|document| document.digest)
            .collect();
        assert_eq!(
            order,
            [
                leaves[0].digest,
                inner.digest,
                leaves[1].digest,
                root.digest
            ]
        );
        assert_eq!(reads, 3);
        let blobs: Vec<Digest> = graph.blobs.iter().map(|blob| blob.digest).collect();
        assert_eq!(
            blobs,
            [
                Digest::of(b"config"),
                Digest::of(b"one"),
                Digest::of(b"two")
            ]
        );
        assert_eq!(graph.root(), &root);
    }

    #[test]
    fn an_index_without_end_is_refused() {
        let mut endless = |_: &Entry| -> Result<Vec<u8>, ManifestError> {
            static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let next = Document::new(media_type::INDEX, count.to_string().into_bytes());
            Ok(Document::index(&[next.entry(None)]).bytes)
        };
        let root = Document::parse(endless(&Document::index(&[]).entry(None)).unwrap()).unwrap();
        assert!(matches!(
            Graph::of(root, &mut endless),
            Err(ManifestError::Json(_))
        ));
    }

    #[test]
    fn what_is_refused() {
        let digest = Digest::of(b"x");
        for bad in [
            b"{}".to_vec(),
            br#"{"layers":[],"manifests":[]}"#.to_vec(),
            manifest(&blob(&digest, r#","urls":["http://169.254.169.254/"]"#)),
            manifest(&blob(&digest, r#","size":4"#)),
            br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec(),
            "[".repeat(100_000).into_bytes(),
        ] {
            let shown = String::from_utf8_lossy(&bad[..bad.len().min(200)]);
            assert!(Links::parse(&bad).is_err(), "{shown}");
        }
    }

    #[test]
    fn an_artifact_is_told_from_an_image() {
        let with = |kind: &str, more: &str| {
            let digest = Digest::of(b"x");
            let text = format!(
                r#"{{"schemaVersion":2{more},"config":{{"mediaType":"{kind}","digest":"{digest}","size":1}},"layers":[]}}"#
            );
            Links::parse(text.as_bytes()).unwrap().artifact_type
        };
        assert_eq!(with(media_type::CONFIG, ""), None);
        assert_eq!(
            with(EMPTY, r#","artifactType":"a/b""#).as_deref(),
            Some("a/b")
        );
        assert_eq!(
            with("application/vnd.example", "").as_deref(),
            Some("application/vnd.example")
        );
    }
}
