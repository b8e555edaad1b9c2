//! Writing a layout so that a reader sees the old image or the new one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::{BLOBS, INDEX, Layout, LayoutError, MARKER, MARKER_BYTES, REF_NAME, io_error};
use crate::blob;
use crate::digest::{Digest, ManifestDigest};
use crate::image::{self, Image, Platform};
use crate::media_type;

impl Layout {
    /// Writes an image as the only one of a layout. `dir` may be missing, empty, or a layout, whose image is then
    /// replaced: first the new blobs are added, then the index is exchanged, last the old blobs are removed. Layer
    /// blobs are hard-linked where the file system can.
    ///
    /// Takes a lock on the folder around `dir`: writers in one folder wait for each other.
    pub fn write(dir: &Path, image: &Image, reference: &str) -> Result<Self, LayoutError> {
        let around = blob::parent(dir);
        fs_err::create_dir_all(around).map_err(io_error("make", around))?;
        let _lock = lock(around)?;
        let layout = Self {
            dir: dir.to_owned(),
        };
        if dir.join(MARKER).is_file() {
            layout.replace(image, reference)?;
        } else if is_free(dir)? {
            create(dir, around, image, reference)?;
        } else {
            return Err(LayoutError::NotALayout(dir.to_owned()));
        }
        Ok(layout)
    }

    /// Exchanges the image of an existing layout. The index's rename is the one step that counts.
    fn replace(&self, image: &Image, reference: &str) -> Result<(), LayoutError> {
        put_blobs(&self.dir, image)?;
        put(&self.dir.join(INDEX), &index_of(image, reference))?;
        for name in self.blobs()? {
            if !blobs_of(image).any(|digest| name == digest.hex()) {
                let path = self.dir.join(BLOBS).join(name);
                fs_err::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// A folder to become a layout; `around` is locked.
pub(crate) fn beside(dir: &Path, around: &Path) -> Result<tempfile::TempDir, LayoutError> {
    blob::clear(around, Some(dir)).map_err(io_error("clear", around))?;
    tempfile::Builder::new()
        .prefix(&blob::prefix(dir))
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(around)
        .map_err(io_error("write to", around))
}

/// Makes the layout beside its place and moves it there.
fn create(dir: &Path, around: &Path, image: &Image, reference: &str) -> Result<(), LayoutError> {
    let temporary = beside(dir, around)?;
    put_blobs(temporary.path(), image)?;
    put(&temporary.path().join(MARKER), MARKER_BYTES)?;
    put(&temporary.path().join(INDEX), &index_of(image, reference))?;
    fs_err::rename(temporary.path(), dir).map_err(io_error("write", dir))?;
    // It is no longer under its temporary name.
    let _ = temporary.keep();
    blob::sync_dir(around).map_err(io_error("write", around))
}

pub(super) fn put_blobs(dir: &Path, image: &Image) -> Result<(), LayoutError> {
    let blobs = dir.join(BLOBS);
    fs_err::create_dir_all(&blobs).map_err(io_error("make", &blobs))?;
    for layer in image.layers() {
        let to = blobs.join(layer.digest().0.hex());
        link_or_copy(layer.path(), &to).map_err(io_error("write", &to))?;
    }
    for bytes in [image.config(), image.manifest()] {
        put(&blobs.join(Digest::of(bytes).hex()), bytes)?;
    }
    blob::sync_dir(&blobs).map_err(io_error("write", &blobs))
}

/// Gives a finished file a second name, or copies it where that is not possible. Replaces what is there: its bytes
/// are not known.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    let same = |a: &Path, b: &Path| -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let (a, b) = (fs_err::metadata(a)?, fs_err::metadata(b)?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    };
    if to.exists() && same(from, to)? {
        return Ok(());
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let temporary = to.with_file_name(format!(".{name}"));
    if temporary.exists() {
        fs_err::remove_file(&temporary)?;
    }
    if fs_err::hard_link(from, &temporary).is_ok() {
        return fs_err::rename(&temporary, to);
    }
    let mut copy = blob::temporary(to)?;
    io::copy(fs_err::File::open(from)?.file_mut(), copy.as_file_mut())?;
    blob::commit(copy, to)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    blob::write(path, bytes).map_err(io_error("write", path))
}

pub(super) fn blobs_of(image: &Image) -> impl Iterator<Item = Digest> {
    let documents = [image.manifest_digest().0, image.config_digest().0];
    let layers = image.layers().iter().map(|layer| layer.digest().0);
    documents.into_iter().chain(layers)
}

/// Whether something can be moved there: nothing, or an empty folder.
pub(crate) fn is_free(dir: &Path) -> Result<bool, LayoutError> {
    match fs_err::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(e) => Err(io_error("list", dir)(e)),
    }
}

pub(crate) fn lock(dir: &Path) -> Result<fs_err::File, LayoutError> {
    let file = fs_err::File::open(dir).map_err(io_error("open", dir))?;
    match file.file().lock() {
        // Some network file systems have no locks.
        Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(io_error("lock", dir)(e)),
        _ => Ok(file),
    }
}

/// The index of a layout with one image.
pub(crate) fn index_json(image: &Image, annotations: &BTreeMap<&str, &str>) -> Vec<u8> {
    image::json(&Index {
        schema_version: 2,
        media_type: media_type::INDEX,
        manifests: [IndexEntry {
            media_type: media_type::MANIFEST,
            digest: image.manifest_digest(),
            size: image.manifest().len(),
            platform: image.platform(),
            annotations,
        }],
    })
}

fn index_of(image: &Image, reference: &str) -> Vec<u8> {
    index_json(image, &BTreeMap::from([(REF_NAME, reference)]))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: [IndexEntry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry<'a> {
    media_type: &'a str,
    digest: ManifestDigest,
    size: usize,
    platform: &'a Platform,
    annotations: &'a BTreeMap<&'a str, &'a str>,
}
