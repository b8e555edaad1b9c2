//! An image as one tar: an OCI layout in it, or what `docker save` writes. Members are read where they lie; a gzip
//! archive is unpacked into a temporary file first.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempPath;

use super::location::Name;
use super::{BlobFile, MAX_DOCUMENT, SourceError};
use crate::digest::Digest;
use crate::entry::Content;
use crate::image::json;
use crate::layer::Unpacker;
use crate::layout::{self, MAX_CONFIG};
use crate::media_type as types;
use crate::path::ImagePath;
use crate::registry::Descriptor;
use crate::tree::Tree;

/// An open archive.
pub(super) struct Archive {
    path: PathBuf,
    members: Tree,
    /// Docker's image as a manifest of today; `None` in an OCI archive.
    docker: Option<Docker>,
    /// The unpacked tar of a gzip archive.
    _unpacked: Option<TempPath>,
}

/// What `docker save` wrote: blobs under names of their own, and no manifest.
struct Docker {
    manifest: Vec<u8>,
    /// Where blobs lie.
    blobs: Vec<(Digest, ImagePath)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    /// `name` chooses among Docker's images; OCI's are chosen through [`Archive::index`].
    pub fn open(path: &Path, name: Option<&Name>, scratch: &Path) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::io("read", path, source);
        let mut magic = [0; 2];
        let mut file = fs_err::File::open(path).map_err(unreadable)?;
        let n = file.read(&mut magic).map_err(unreadable)?;
        let unpacked = match &magic[..n] {
            [0x1f, 0x8b] => Some(unpack(path, scratch)?),
            _ => None,
        };
        let tar = unpacked.as_deref().unwrap_or(path);
        let members = Tree::from_tar(tar).map_err(|source| SourceError::Archive {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mut archive = Self {
            path: path.to_owned(),
            members,
            docker: None,
            _unpacked: unpacked,
        };
        if archive.find(layout::INDEX).is_none() {
            archive.docker = Some(archive.saved(name)?);
        }
        Ok(archive)
    }

    /// The index of an OCI archive, or Docker's image as a manifest.
    pub fn top(&self) -> Result<(Vec<u8>, bool), SourceError> {
        match &self.docker {
            Some(docker) => Ok((docker.manifest.clone(), true)),
            None => Ok((self.small(layout::INDEX, MAX_DOCUMENT)?, false)),
        }
    }

    /// Whether the layers are as Docker keeps them, and get their compression when they are pushed.
    pub fn is_docker(&self) -> bool {
        self.docker.is_some()
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: Digest) -> Option<BlobFile> {
        let path = match &self.docker {
            Some(docker) => {
                let (_, path) = docker.blobs.iter().find(|(blob, _)| *blob == digest)?;
                path.to_string()
            }
            None => format!("{}/{}", layout::BLOBS, digest.hex()),
        };
        Some(self.file(&self.find(&path)?))
    }

    /// A member's content, links followed inside the archive.
    fn find(&self, name: &str) -> Option<Content> {
        let path = ImagePath::rooted(name).ok().flatten()?;
        let path = self.members.resolve(&path).ok()?;
        self.members.content(&path).ok().cloned()
    }

    fn file(&self, content: &Content) -> BlobFile {
        let Content::File { path, offset, len } = content else {
            unreachable!("a tar's members lie in the tar");
        };
        BlobFile {
            path: path.to_path_buf(),
            offset: *offset,
            len: *len,
        }
    }

    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let missing = || SourceError::NotAnImage(self.path.clone());
        let content = self.find(name).ok_or_else(missing)?;
        let read = content.read(limit);
        read.map_err(|source| SourceError::io("read", &self.path, source))
    }

    fn saved(&self, name: Option<&Name>) -> Result<Docker, SourceError> {
        let bytes = self.small("manifest.json", MAX_DOCUMENT)?;
        let images: Vec<Saved> =
            serde_json::from_slice(&bytes).map_err(|source| SourceError::Json {
                what: format!("manifest.json in {}", self.path.display()),
                source,
            })?;
        let has_name = |image: &&Saved| match name {
            None => true,
            Some(Name::Tag(tag)) => (image.repo_tags.iter().flatten()).any(|there| {
                there == tag || there.strip_prefix("docker.io/library/") == Some(tag.as_str())
            }),
            Some(Name::Digest(_)) => false,
        };
        let fitting: Vec<&Saved> = images.iter().filter(has_name).collect();
        let [image] = fitting.as_slice() else {
            let names = images
                .iter()
                .flat_map(|image| image.repo_tags.iter().flatten());
            let names: Vec<String> = names.cloned().collect();
            return Err(SourceError::Which {
                path: self.path.clone(),
                asked: name.map(ToString::to_string).unwrap_or_default(),
                names: names.join(", "),
            });
        };
        let mut blobs = Vec::new();
        let mut describe = |name: &str, kind: Option<&str>| -> Result<Descriptor, SourceError> {
            let content = self.find(name).ok_or_else(|| SourceError::Missing {
                what: name.to_owned(),
                shown: self.path.display().to_string(),
            })?;
            let failed = |source| SourceError::io("read", &self.path, source);
            let mut reader = self.file(&content).open(0).map_err(failed)?;
            let mut start = Vec::new();
            (&mut reader)
                .take(4)
                .read_to_end(&mut start)
                .map_err(failed)?;
            let media_type = kind.unwrap_or(match start.as_slice() {
                [0x1f, 0x8b, ..] => types::DOCKER_LAYER_GZIP,
                [0x28, 0xb5, 0x2f, 0xfd] => types::LAYER_ZSTD,
                _ => types::DOCKER_LAYER,
            });
            let (digest, size) = Digest::of_reader(start.chain(reader)).map_err(failed)?;
            let path = ImagePath::rooted(name).ok().flatten();
            blobs.push((digest, path.expect("it was found")));
            Ok(Descriptor {
                media_type: media_type.to_owned(),
                digest,
                size,
            })
        };
        let config = describe(&image.config, Some(types::DOCKER_CONFIG))?;
        if config.size > MAX_CONFIG {
            return Err(SourceError::NotAnImage(self.path.clone()));
        }
        let layers = image.layers.iter().map(|layer| describe(layer, None));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let descriptor = |from: &Descriptor| serde_json::json!({"mediaType": from.media_type, "digest": from.digest, "size": from.size});
        let manifest = json(&serde_json::json!({
            "schemaVersion": 2,
            "mediaType": types::DOCKER_MANIFEST,
            "config": descriptor(&config),
            "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
        }));
        Ok(Docker { manifest, blobs })
    }
}

/// The tar in a gzip archive, as a temporary file.
fn unpack(path: &Path, scratch: &Path) -> Result<TempPath, SourceError> {
    let mut unpacker = Unpacker::open(path)?;
    let mut write = || {
        fs_err::create_dir_all(scratch)?;
        let mut file = tempfile::NamedTempFile::new_in(scratch)?;
        io::copy(&mut unpacker, &mut file)?;
        Ok(file.into_temp_path())
    };
    write().map_err(|source| SourceError::io("unpack", path, source))
}
