//! The papers as files: written beside a layout, read again to be attached, and refused when they are another image's.

use std::path::{Path, PathBuf};

use oci::ManifestDigest;
use serde_json::Value;

use super::{Component, Provenance, Subject, cyclonedx, json, provenance, spdx};

/// One kind of paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paper {
    /// SPDX 2.3.
    Spdx,
    /// CycloneDX 1.6.
    CycloneDx,
    /// SLSA provenance in an in-toto statement.
    Provenance,
}

impl Paper {
    /// All of them, in the order in which they are attached.
    pub const ALL: [Self; 3] = [Self::Spdx, Self::CycloneDx, Self::Provenance];

    /// What an artifact with it is.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => "application/spdx+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Provenance => "application/vnd.in-toto+json",
        }
    }

    /// The end of its file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Spdx => ".spdx.json",
            Self::CycloneDx => ".cdx.json",
            Self::Provenance => ".provenance.json",
        }
    }

    /// Its file beside the layout: `dist/python3.13.spdx.json`.
    pub fn path(self, layout: &Path) -> PathBuf {
        let mut name = layout.file_name().unwrap_or_default().to_owned();
        name.push(self.suffix());
        layout.with_file_name(name)
    }

    /// Whether a document of this kind is of the image.
    pub fn is_of(self, document: &[u8], digest: ManifestDigest) -> bool {
        let document = serde_json::from_slice(document).unwrap_or(Value::Null);
        self.subject(&document) == Some(&digest.0.hex())
    }

    /// The image that a document of this kind is of.
    fn subject(self, document: &Value) -> Option<&str> {
        match self {
            Self::Spdx => document["packages"][0]["checksums"][0]["checksumValue"].as_str(),
            Self::CycloneDx => document["metadata"]["component"]["hashes"][0]["content"].as_str(),
            Self::Provenance => document["subject"][0]["digest"]["sha256"].as_str(),
        }
    }
}

/// The papers of one image, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    name: String,
    documents: Vec<(Paper, Vec<u8>)>,
}

/// Papers that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    /// A file cannot be read.
    #[error("cannot read the image's papers")]
    Io(#[from] std::io::Error),
    /// A file is no paper, or another image's.
    #[error("{} is of another image than {digest}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The image.
        digest: ManifestDigest,
    },
    /// Some are missing.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
}

impl PapersError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        "build the image again, or push it without papers: --no-attest"
    }
}

impl Papers {
    /// Of a finished image.
    pub fn new(subject: &Subject, components: &[Component], provenance: &Provenance) -> Self {
        let boms = Self::bills_of_materials(subject, components);
        let listed: Vec<(String, &str, &[u8])> = boms
            .iter()
            .map(|(paper, bytes)| {
                let name = format!("{}{}", subject.name, paper.suffix());
                (name, paper.media_type(), bytes.as_slice())
            })
            .collect();
        let statement = json(&provenance::document(subject, provenance, &listed));
        let mut documents = boms.to_vec();
        documents.push((Paper::Provenance, statement));
        Self {
            name: subject.name.to_owned(),
            documents,
        }
    }

    /// What an image consists of, twice.
    pub fn bills_of_materials(
        subject: &Subject,
        components: &[Component],
    ) -> [(Paper, Vec<u8>); 2] {
        [
            (Paper::Spdx, json(&spdx::document(subject, components))),
            (
                Paper::CycloneDx,
                json(&cyclonedx::document(subject, components)),
            ),
        ]
    }

    /// Writes them beside a layout; each file is the old one or the new one, never half of it.
    pub fn write(&self, layout: &Path) -> std::io::Result<()> {
        for (paper, bytes) in &self.documents {
            oci::write_file(&paper.path(layout), bytes)?;
        }
        Ok(())
    }

    /// Those that lie beside a layout or tarball, `None` where there are none at all.
    pub fn read(layout: &Path, digest: ManifestDigest) -> Result<Option<Self>, PapersError> {
        let paths = Paper::ALL.map(|paper| (paper, paper.path(layout)));
        if paths.iter().all(|(_, path)| !path.exists()) {
            return Ok(None);
        }
        let mut documents = Vec::new();
        for (paper, path) in paths {
            if !path.exists() {
                return Err(PapersError::Missing(path));
            }
            let bytes = fs_err::read(&path)?;
            if !paper.is_of(&bytes, digest) {
                return Err(PapersError::Other { path, digest });
            }
            documents.push((paper, bytes));
        }
        let name = layout.file_name().unwrap_or_default();
        Ok(Some(Self {
            name: name.to_string_lossy().into_owned(),
            documents,
        }))
    }

    /// The image's name, with which their own begin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Each with its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (Paper, &[u8])> {
        self.documents
            .iter()
            .map(|(paper, bytes)| (*paper, bytes.as_slice()))
    }
}
