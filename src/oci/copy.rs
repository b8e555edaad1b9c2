//! An image to another place, as it is: comes in what a name leads to, goes out the same documents and blobs, byte for byte,
//! in a layout or an archive. Into registries, [`Push`](crate::registry::Push) does the same.

mod destination;

use std::collections::BTreeMap;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::blob;
use crate::entry::{Content, Entry as File};
use crate::epoch::Epoch;
use crate::image;
use crate::layout::{BLOBS, INDEX, Layout, LayoutError, MARKER, MARKER_BYTES, REF_NAME, write};
use crate::media_type;
use crate::parallel::in_parallel;
use crate::registry::{
    Descriptor, Document, Entry, Graph, Links, ManifestError, OpenBlob, Platform,
};
use crate::source::{ImageSource, SourceError};
use crate::tar_writer::{TarWriteError, Times, write_tar};
use crate::tarball::docker_manifest;
use crate::tree::{Tree, TreeError};
pub use destination::{Destination, InvalidDestination};

/// Blobs on their way at a time.
const DOWNLOADS: usize = 4;

/// A copy that failed; the place it was for is as it was before, but for blobs that nothing leads to.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is copied cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What is copied is no image.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The layout cannot be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error(transparent)]
    Tar(#[from] TarWriteError),
    /// Layers as `docker save` keeps them.
    #[error("{0} holds layers without compression, as no registry has them")]
    Docker(String),
}

impl CopyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Layout(error) => error.hint().map(str::to_owned),
            Self::Docker(_) => Some(
                "make an OCI archive of it: skopeo copy docker-archive:FILE oci-archive:OTHER"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Everything below `top`, which is what the source's name leads to or one of the manifests in it.
pub fn graph(source: &ImageSource, top: &Descriptor) -> Result<Graph, CopyError> {
    if source.is_docker_archive() {
        return Err(CopyError::Docker(source.shown().to_owned()));
    }
    let root = Document::new(&top.media_type, source.document(top)?);
    Graph::of(root, &mut |entry: &Entry| {
        Ok(source.document(&Descriptor {
            media_type: entry.media_type.clone(),
            digest: entry.digest,
            size: entry.size,
        })?)
    })
}

/// Opens a blob of a source for an upload.
pub fn open(source: &ImageSource, blob: &Descriptor) -> io::Result<OpenBlob> {
    let file = source.blob_file(blob).map_err(io::Error::other)?;
    Ok(Arc::new(move |from| Ok(Box::new(file.open(from)?))))
}

/// Adds to a layout, which may be missing; what had the name before loses it. `platform` is what a single image runs on.
///
/// Takes the lock that [`Layout::write`] takes.
pub fn to_layout(
    source: &ImageSource,
    graph: &Graph,
    platform: Option<Platform>,
    dir: &Path,
    name: &str,
) -> Result<(), CopyError> {
    let around = blob::parent(dir);
    let failed = |source| CopyError::Write {
        path: dir.to_owned(),
        source,
    };
    fs_err::create_dir_all(around).map_err(failed)?;
    let _lock = write::lock(around)?;
    if dir.join(MARKER).is_file() {
        let index = Layout::open(dir)?.index_bytes()?;
        return add(source, graph, platform, dir, name, &index);
    }
    if !write::is_free(dir)? {
        return Err(LayoutError::NotALayout(dir.to_owned()).into());
    }
    let temporary = write::beside(dir, around)?;
    add(source, graph, platform, temporary.path(), name, b"{}")?;
    blob::write(&temporary.path().join(MARKER), MARKER_BYTES).map_err(failed)?;
    fs_err::rename(temporary.path(), dir).map_err(failed)?;
    // It is no longer under its temporary name.
    let _ = temporary.keep();
    blob::sync_dir(around).map_err(failed)
}

/// Blobs first; the index's rename is the one step that counts.
fn add(
    source: &ImageSource,
    graph: &Graph,
    platform: Option<Platform>,
    dir: &Path,
    name: &str,
    index: &[u8],
) -> Result<(), CopyError> {
    let blobs = dir.join(BLOBS);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Write { path, source }
    };
    fs_err::create_dir_all(&blobs).map_err(failed(&blobs))?;
    for folder in [dir, &blobs] {
        blob::clear(folder, None).map_err(failed(folder))?;
    }
    let missing = |blob: &&Descriptor| {
        let there = fs_err::File::open(blobs.join(blob.digest.hex()));
        let there = there.and_then(crate::Digest::of_reader);
        !there.is_ok_and(|(digest, _)| digest == blob.digest)
    };
    let missing: Vec<&Descriptor> = graph.blobs.iter().filter(missing).collect();
    fetch(source, &missing)?;
    for blob in missing {
        let to = blobs.join(blob.digest.hex());
        let mut file = blob::temporary(&to).map_err(failed(&to))?;
        io::copy(&mut source.blob(blob)?, &mut file).map_err(failed(&to))?;
        blob::commit(file, &to).map_err(failed(&to))?;
    }
    for document in &graph.documents {
        let to = blobs.join(document.digest.hex());
        blob::write(&to, &document.bytes).map_err(failed(&to))?;
    }
    let path = dir.join(INDEX);
    let mut index: Value = serde_json::from_slice(index)
        .map_err(|error| ManifestError::Json(format!("{}: {error}", path.display())))?;
    let mut entries = index["manifests"].as_array().cloned().unwrap_or_default();
    entries.retain(|entry| entry["annotations"][REF_NAME] != name);
    entries.push(json!(named(graph.root(), platform, name)));
    index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::INDEX,
        "manifests": entries,
    });
    blob::write(&path, &image::json(&index)).map_err(failed(&path))
}

/// Writes an OCI archive, which `docker load` takes too if it is a single image; the file appears when it is complete.
pub fn to_archive(
    source: &ImageSource,
    graph: &Graph,
    platform: Option<Platform>,
    path: &Path,
    name: &str,
) -> Result<(), CopyError> {
    let failed = |source| CopyError::Write {
        path: path.to_owned(),
        source,
    };
    let mut tree = Tree::new();
    let mut put = |name: &str, content: Content| -> Result<(), TarWriteError> {
        let path = name.parse().map_err(TreeError::from)?;
        Ok(tree.insert(path, File::file(content, 0o644))?)
    };
    fetch(source, &graph.blobs.iter().collect::<Vec<_>>())?;
    for blob in &graph.blobs {
        // What goes into the tar is not checked on its way.
        io::copy(&mut source.blob(blob)?, &mut io::sink()).map_err(failed)?;
        let file = source.blob_file(blob)?;
        let content = Content::File {
            path: file.path.into(),
            offset: file.offset,
            len: file.len,
        };
        put(&format!("{BLOBS}/{}", blob.digest.hex()), content)?;
    }
    for document in &graph.documents {
        let content = document.bytes.as_slice().into();
        put(&format!("{BLOBS}/{}", document.digest.hex()), content)?;
    }
    let root = graph.root();
    put(
        INDEX,
        Document::index(&[named(root, platform, name)])
            .bytes
            .as_slice()
            .into(),
    )?;
    put(MARKER, MARKER_BYTES.into())?;
    let links = Links::parse(&root.bytes)?;
    if !root.is_index()
        && let [config, layers @ ..] = links.blobs.as_slice()
    {
        let layers = layers.iter().map(|layer| layer.digest);
        put(
            "manifest.json",
            docker_manifest(config.digest, layers, name).into(),
        )?;
    }
    let dir = blob::parent(path);
    fs_err::create_dir_all(dir).map_err(failed)?;
    let _lock = write::lock(dir)?;
    blob::clear(dir, Some(path)).map_err(failed)?;
    let temporary = blob::temporary(path).map_err(failed)?;
    let writer = BufWriter::with_capacity(1 << 20, temporary);
    let writer = write_tar(&tree, Times::Epoch(Epoch::default()), writer)?;
    let temporary = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    blob::commit(temporary, path).map_err(failed)
}

/// Has blobs on this machine, several downloads at a time.
fn fetch(source: &ImageSource, blobs: &[&Descriptor]) -> Result<(), CopyError> {
    in_parallel(DOWNLOADS, blobs, |blob| source.blob_file(blob).map(drop))?;
    Ok(())
}

fn named(root: &Document, platform: Option<Platform>, name: &str) -> Entry {
    Entry {
        annotations: BTreeMap::from([(REF_NAME.to_owned(), name.to_owned())]),
        ..root.entry(platform)
    }
}
