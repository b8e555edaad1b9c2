//! One file for `docker load`: Docker's archive and an OCI layout in the same tar, so that Docker, podman, containerd
//! and skopeo (as `docker-archive:` or `oci-archive:`) all take it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::blob;
use crate::digest::Digest;
use crate::entry::{Content, Entry};
use crate::epoch::Epoch;
use crate::image::{self, Image};
use crate::layout::write;
use crate::layout::{MARKER_BYTES, REF_NAME, index_json};
use crate::tar_writer::{TarWriteError, Times, write_tar};
use crate::tree::{Tree, TreeError};

/// The annotation by which containerd names an image.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A tarball that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    /// Docker would not take the name.
    #[error("{0:?} cannot be an image's name: expected lower-case name:tag")]
    Name(String),
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer cannot be read.
    #[error(transparent)]
    Tar(#[from] TarWriteError),
}

/// Writes an image as one file under a `name:tag`; without a tag it is `latest`. Same image and name, same bytes. The
/// file appears when it is complete.
pub fn write_tarball(path: &Path, image: &Image, name: &str) -> Result<(), TarballError> {
    let tag = tagged(name).ok_or_else(|| TarballError::Name(name.to_owned()))?;
    let dir = blob::parent(path);
    let failed = |source| TarballError::Write {
        path: path.to_owned(),
        source,
    };
    fs_err::create_dir_all(dir).map_err(failed)?;
    let tree = contents(image, &tag).map_err(TarWriteError::from)?;
    let _lock = write::lock(dir).map_err(|error| failed(std::io::Error::other(error)))?;
    blob::clear(dir, Some(path)).map_err(failed)?;
    let temporary = blob::temporary(path).map_err(failed)?;
    let writer = BufWriter::with_capacity(1 << 20, temporary);
    let writer = write_tar(&tree, Times::Epoch(Epoch::default()), writer)?;
    let temporary = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    blob::commit(temporary, path).map_err(failed)
}

fn contents(image: &Image, tag: &str) -> Result<Tree, TreeError> {
    let mut tree = Tree::new();
    let blob = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let mut add = |name: &str, content: Content| {
        let path = name.parse()?;
        tree.insert(path, Entry::file(content, 0o644))
    };
    for layer in image.layers() {
        let content = Content::File {
            path: layer.path().into(),
            offset: 0,
            len: layer.size(),
        };
        add(&blob(layer.digest().0), content)?;
    }
    let config = blob(image.config_digest().0);
    add(&config, image.config().into())?;
    add(&blob(image.manifest_digest().0), image.manifest().into())?;
    let full_name = full_name(tag);
    let annotations = BTreeMap::from([(CONTAINERD_NAME, full_name.as_str()), (REF_NAME, tag)]);
    add("index.json", index_json(image, &annotations).into())?;
    add("oci-layout", MARKER_BYTES.into())?;
    let layers = image.layers().iter().map(|layer| layer.digest().0);
    let manifest = docker_manifest(image.config_digest().0, layers, tag);
    add("manifest.json", manifest.into())?;
    Ok(tree)
}

/// What `docker load` reads.
pub(crate) fn docker_manifest(
    config: Digest,
    layers: impl Iterator<Item = Digest>,
    tag: &str,
) -> Vec<u8> {
    let blob = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    image::json(&[DockerManifest {
        config: blob(config),
        repo_tags: [tag],
        layers: layers.map(blob).collect(),
    }])
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest<'a> {
    config: String,
    repo_tags: [&'a str; 1],
    layers: Vec<String>,
}

/// `name:tag`, or `None` when Docker would refuse it.
fn tagged(name: &str) -> Option<String> {
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    };
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (host, path) = match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("", repository),
    };
    let host_is_good = !host.starts_with(['.', ':', '-'])
        && (host.bytes()).all(|c| c.is_ascii_alphanumeric() || b".:-[]".contains(&c));
    let path_is_good = path.split('/').all(|part| {
        part.bytes().all(|c| word(c) || b"._-".contains(&c))
            && part.bytes().next().is_some_and(word)
            && part.bytes().last().is_some_and(word)
    });
    let tag_is_good = (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && (tag.bytes()).all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
    (host_is_good && path_is_good && tag_is_good).then(|| format!("{repository}:{tag}"))
}

/// As containerd spells a name without a host.
fn full_name(tag: &str) -> String {
    match tag.split_once('/') {
        None => format!("docker.io/library/{tag}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => tag.to_owned(),
        Some(_) => format!("docker.io/{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("python3.13", Some("docker.io/library/python3.13:latest")),
            (
                "python3.13:3.13-jit",
                Some("docker.io/library/python3.13:3.13-jit"),
            ),
            ("team/python", Some("docker.io/team/python:latest")),
            ("localhost:5000/a/b:T", Some("localhost:5000/a/b:T")),
            ("localhost:5000/a", Some("localhost:5000/a:latest")),
            ("", None),
            ("Python", None),
            ("a b", None),
            ("a:", None),
            ("a:.b", None),
            ("a//b", None),
            ("-a", None),
            ("a@sha256", None),
            ("../a", None),
        ] {
            let full = tagged(name).map(|tag| full_name(&tag));
            assert_eq!(full.as_deref(), expected, "{name}");
        }
    }
}
