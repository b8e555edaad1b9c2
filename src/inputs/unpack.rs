//! Unpacking: comes in an archive of any of the usual kinds, goes out a fresh folder with its files. Kinds are told by
//! content. Archives are foreign bytes: they are read into a [`Tree`], tars by the reader that reads layers and zips by
//! the same rules, and only a tree is written to the disk.
//!
//! What is kept: names, bytes, the executable bit, modification times (make and autotools go by them), symbolic links
//! inside. Hard links become files. What is not: owners, other permission bits, extended attributes. What is refused
//! besides what the reader refuses: links that could lead outside, devices, whiteouts.

mod zip;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::tree::TreeError;
use oci::{Bomb, Entry, ImagePath, Kind, Tree};

use super::decompress;

/// An archive that was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Reading it or writing its files.
    #[error("cannot unpack {}", archive.display())]
    Io {
        /// The archive.
        archive: PathBuf,
        /// Why; names the path if it is about another file.
        #[source]
        source: io::Error,
    },
    /// What is in it is no tree of files, or no tar.
    #[error("cannot unpack {}", archive.display())]
    Tree {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: TreeError,
    },
    /// Neither tar (plain, gzip, xz) nor zip.
    #[error("{} is neither a tar (plain, gzip or xz) nor a zip archive", archive.display())]
    Kind {
        /// The archive.
        archive: PathBuf,
    },
    /// Something in it that has no place in a source archive or a wheel.
    #[error("{}: {entry:?} {reason}", archive.display())]
    Refused {
        /// The archive.
        archive: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The folder to take is not in it.
    #[error("{} has no folder {subdir:?}", archive.display())]
    NoSubdir {
        /// The archive.
        archive: PathBuf,
        /// The folder.
        subdir: String,
    },
}

impl UnpackError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => Bomb::of(source).map(|_| Bomb::HINT),
            Self::Tree { source, .. } => source.hint(),
            _ => None,
        }
    }
}

/// Why an entry stops the unpacking, before the archive's name is known.
enum Stop {
    Io(io::Error),
    Tree(TreeError),
    Refused(String, &'static str),
    NoSubdir(String),
    Kind,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TreeError> for Stop {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// Unpacks `archive` into `dest`, an empty folder. A single top folder is stripped; of `subdir`, given relative to it,
/// only what is inside is kept.
pub fn unpack(archive: &Path, subdir: Option<&str>, dest: &Path) -> Result<(), UnpackError> {
    run(archive, subdir, dest).map_err(|stop| {
        let archive = archive.to_owned();
        match stop {
            Stop::Io(source) => UnpackError::Io { archive, source },
            Stop::Tree(source) => UnpackError::Tree { archive, source },
            Stop::Refused(entry, reason) => UnpackError::Refused {
                archive,
                entry,
                reason,
            },
            Stop::NoSubdir(subdir) => UnpackError::NoSubdir { archive, subdir },
            Stop::Kind => UnpackError::Kind { archive },
        }
    })
}

fn run(archive: &Path, subdir: Option<&str>, dest: &Path) -> Result<(), Stop> {
    let mut magic = Vec::new();
    let file = fs::File::open(archive)?;
    file.take(265).read_to_end(&mut magic)?;
    // Unpacked beside its final place: what is half done never has the final name.
    let beside = dest.parent().unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(beside)?;
    let content = work.path().join("content");
    let tree = match magic.as_slice() {
        [0x1f, 0x8b, ..] | [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            decompress(archive, &content)?;
            Tree::from_tar(&content)?
        }
        [b'P', b'K', 3, 4, ..] => zip::tree(archive, &content)?,
        plain if plain.get(257..262) == Some(b"ustar") => Tree::from_tar(archive)?,
        _ => return Err(Stop::Kind),
    };
    let tree = kept(tree, subdir)?;
    let done = work.path().join("done");
    tree.extract(&done)?;
    // Takes the place of the empty folder.
    Ok(fs::rename(done, dest)?)
}

/// What is written: the root folder's content, with plain permissions.
fn kept(mut tree: Tree, subdir: Option<&str>) -> Result<Tree, Stop> {
    if let Some(whiteout) = tree.whiteouts().next() {
        return Err(Stop::Refused(
            format!("{whiteout:?}"),
            "is a removal, which only a layer may have",
        ));
    }
    tree.dereference_hardlinks()?;
    let root = root(&tree, subdir)?;
    let mut kept = Tree::new();
    for (path, entry) in tree.iter() {
        let path = match &root {
            Some(root) if path == root || !path.starts_with(root) => continue,
            Some(root) => &ImagePath::new(&path.as_bytes()[root.as_bytes().len() + 1..])
                .map_err(TreeError::from)?,
            None => path,
        };
        let mut entry: Entry = entry.clone();
        match &entry.kind {
            Kind::File(_) if entry.mode & 0o111 == 0 => entry.mode = 0o644,
            Kind::File(_) | Kind::Dir => entry.mode = 0o755,
            Kind::Symlink(target) if leads_outside(path, target) => {
                return Err(refused(
                    path,
                    "is a link that could lead outside of the folder",
                ));
            }
            Kind::Symlink(_) => {}
            Kind::Hardlink(_) | Kind::Special(_) => {
                return Err(refused(path, "is a device or another special file"));
            }
        }
        kept.insert(path.clone(), entry)?;
    }
    Ok(kept)
}

/// The folder that becomes the root; nothing for the archive's own.
fn root(tree: &Tree, subdir: Option<&str>) -> Result<Option<ImagePath>, Stop> {
    let is_dir = |path: &ImagePath| tree.get(path).is_some_and(Entry::is_dir);
    let mut tops = tree.iter().map(|(path, _)| path);
    let first = tops.next();
    let only = first.filter(|first| tops.all(|path| path.starts_with(first)));
    let top = only
        .filter(|top| is_dir(top) && !is_dist_info(top))
        .cloned();
    let Some(subdir) = subdir else {
        return Ok(top);
    };
    let none = || Stop::NoSubdir(subdir.to_owned());
    let inside = match ImagePath::rooted(subdir) {
        Ok(Some(inside)) if !subdir.starts_with('/') => inside,
        _ => return Err(none()),
    };
    let root = match &top {
        Some(top) => inside.below(top).map_err(TreeError::from)?,
        None => inside,
    };
    match is_dir(&root) {
        true => Ok(Some(root)),
        false => Err(none()),
    }
}

/// A link may climb first and descend then: its own folder is no link, so it stays inside even if it passes through
/// others.
fn leads_outside(path: &ImagePath, target: &[u8]) -> bool {
    let mut parts = (target.split(|byte| *byte == b'/'))
        .filter(|part| !part.is_empty() && *part != b".")
        .peekable();
    let depth = path.components().count() - 1;
    let climbs = std::iter::from_fn(|| parts.next_if_eq(&&b".."[..])).count();
    target.starts_with(b"/") || climbs > depth || parts.any(|part| part == b"..")
}

fn refused(path: &ImagePath, reason: &'static str) -> Stop {
    Stop::Refused(path.to_string().chars().take(200).collect(), reason)
}

/// A wheel may hold nothing else; its layout is not to be changed.
fn is_dist_info(top: &ImagePath) -> bool {
    top.as_bytes().ends_with(b".dist-info")
}

#[cfg(test)]
mod tests;
