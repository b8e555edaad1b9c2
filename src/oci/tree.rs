//! Trees: what a layer or an image's root file system contains, as a sorted index. File content stays where it lies,
//! so a tree of an image of any size is small.
//!
//! Every parent of an entry is an entry and a directory; nothing can be put below a file or a link.

mod extract;
mod from_dir;
mod from_tar;
mod listing;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use crate::entry::{Content, Entry, Kind};
use crate::path::{ImagePath, InvalidPath};
use crate::tar_reader::TarError;

/// Symbolic links followed for one path before it counts as a loop, as in Linux.
const MAX_LINKS: usize = 40;
/// The largest file that [`Tree::read`] takes into memory.
const MAX_READ: u64 = 16 << 20;

/// Entries by path, and what the layer removes from the layers below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Boxed, as half of a map's places may be empty.
    entries: BTreeMap<ImagePath, Box<Entry>>,
    /// Directories that were made only because something is inside them.
    implied: BTreeSet<ImagePath>,
    whiteouts: BTreeSet<Whiteout>,
}

/// What a layer removes from the layers below it; its own entries are not affected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whiteout {
    /// A path and everything inside it.
    Path(ImagePath),
    /// Everything inside a directory.
    Inside(ImagePath),
    /// Everything.
    Everything,
}

/// A tree that cannot be made, or a path that is not in it.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Something was to be put below a thing that is not a directory.
    #[error("cannot put {path} into {parent}, which is {found}, not a directory")]
    ParentNotDir {
        /// What was to be put there.
        path: ImagePath,
        /// Where.
        parent: ImagePath,
        /// What is there.
        found: &'static str,
    },
    /// No such path.
    #[error("no {0} in the tree")]
    NotFound(ImagePath),
    /// Too many symbolic links.
    #[error("{0}: too many symbolic links")]
    LinkLoop(ImagePath),
    /// Not a regular file.
    #[error("{path} is {found}, not a file")]
    NotAFile {
        /// The path.
        path: ImagePath,
        /// What it is.
        found: &'static str,
    },
    /// A hard link whose target is missing, a directory, or itself.
    #[error("{path} is a hard link to {target}, which is no file in the tree")]
    BrokenHardlink {
        /// The link.
        path: ImagePath,
        /// Where it points.
        target: ImagePath,
    },
    /// A file of this machine that no image can hold.
    #[error("{path} is a {found}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The folder to write to holds something already.
    #[error("{0} is not an empty folder")]
    NotEmpty(PathBuf),
    /// A file of this machine could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file that changed under us.
    #[error("{path}: expected {expected} bytes, got {got}; it changed while it was read")]
    Changed {
        /// The path in the tree.
        path: ImagePath,
        /// Bytes when the tree was made.
        expected: u64,
        /// Bytes now.
        got: u64,
    },
    /// A path no image can hold.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A tar that the reader refuses.
    #[error(transparent)]
    Tar(#[from] TarError),
}

impl TreeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ParentNotDir { .. } => Some("put the file where the link points instead"),
            Self::NotEmpty(_) => Some("name a folder that does not exist yet"),
            Self::Tar(error) => error.hint(),
            _ => None,
        }
    }
}

impl Tree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an entry at a path; missing parents become directories of mode 0755. A directory keeps what is inside
    /// it when it is put on a directory; everything else replaces what was there, with all that was inside it.
    pub fn insert(&mut self, path: ImagePath, entry: Entry) -> Result<(), TreeError> {
        self.imply_parents(&path)?;
        self.place(path, entry);
        Ok(())
    }

    /// Puts `entry` at a path whose parents exist.
    fn place(&mut self, path: ImagePath, mut entry: Entry) {
        // Linux knows no other mode of a link; archives may say anything.
        if let Kind::Symlink(_) = entry.kind {
            entry.mode = 0o777;
        }
        let keeps_inside = entry.is_dir() && self.get(&path).is_none_or(Entry::is_dir);
        if !keeps_inside && self.remove(&path).is_some_and(|there| there.is_dir()) {
            // What was removed inside the directory is gone with all of it.
            self.whiteouts.retain(|whiteout| match whiteout {
                Whiteout::Path(gone) => gone == &path || !gone.starts_with(&path),
                Whiteout::Inside(dir) => !dir.starts_with(&path),
                Whiteout::Everything => true,
            });
        }
        self.implied.remove(&path);
        self.entries.insert(path, Box::new(entry));
    }

    fn imply_parents(&mut self, path: &ImagePath) -> Result<(), TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        match self.entries.get(&parent) {
            Some(entry) if entry.is_dir() => Ok(()),
            Some(entry) => Err(TreeError::ParentNotDir {
                path: path.clone(),
                found: entry.kind.name(),
                parent,
            }),
            None => {
                self.imply_parents(&parent)?;
                self.entries
                    .insert(parent.clone(), Box::new(Entry::dir(0o755)));
                self.implied.insert(parent);
                Ok(())
            }
        }
    }

    /// What is at a path, without following links.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path).map(|entry| &**entry)
    }

    /// The same, to change permissions, owner or attributes. Changing the kind of a directory that is not empty
    /// breaks the tree: use [`insert`](Self::insert).
    pub fn get_mut(&mut self, path: &ImagePath) -> Option<&mut Entry> {
        self.implied.remove(path);
        self.entries.get_mut(path).map(|entry| &mut **entry)
    }

    /// Whether a directory is there only because something is inside it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_implied(&self, path: &ImagePath) -> bool {
        self.implied.contains(path)
    }

    /// Takes out what is at a path and everything inside it.
    pub fn remove(&mut self, path: &ImagePath) -> Option<Entry> {
        let entry = *self.entries.remove(path)?;
        if entry.is_dir() {
            let inside: Vec<ImagePath> = self.subtree(path).map(|(p, _)| p.clone()).collect();
            for path in inside {
                self.entries.remove(&path);
                self.implied.remove(&path);
            }
        }
        self.implied.remove(path);
        Some(entry)
    }

    /// All entries, parents first.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path, &**entry))
    }

    /// What is at a path and everything inside it, parents first.
    pub fn subtree<'a>(
        &'a self,
        path: &'a ImagePath,
    ) -> impl Iterator<Item = (&'a ImagePath, &'a Entry)> {
        self.entries
            .range(path..)
            .take_while(move |(below, _)| below.starts_with(path))
            .map(|(path, entry)| (path, &**entry))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing in it, nor removed by it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.whiteouts.is_empty()
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.entries.values().map(|entry| entry.size()).sum()
    }

    /// Puts another tree's entries on top of this one, both being parts of one layer; at `below`, or at the root.
    /// Other than a layer, it may not change what a link or a file is used as: a directory never replaces a link.
    pub fn graft(&mut self, below: Option<&ImagePath>, other: Tree) -> Result<(), TreeError> {
        let at = |path: &ImagePath| match below {
            Some(below) => path.below(below),
            None => Ok(path.clone()),
        };
        for (path, entry) in other.entries {
            let implied = other.implied.contains(&path);
            let path = at(&path)?;
            match self.entries.get(&path) {
                Some(there) if implied && there.is_dir() => {}
                Some(there) if entry.is_dir() && !there.is_dir() => {
                    return Err(TreeError::ParentNotDir {
                        found: there.kind.name(),
                        parent: path.clone(),
                        path,
                    });
                }
                _ => {
                    let mut entry = *entry;
                    if let Kind::Hardlink(target) = &mut entry.kind {
                        *target = at(target)?;
                    }
                    self.insert(path.clone(), entry)?;
                    if implied {
                        self.implied.insert(path);
                    }
                }
            }
        }
        for whiteout in other.whiteouts {
            self.whiteouts.insert(match (whiteout, below) {
                (Whiteout::Path(path), _) => Whiteout::Path(at(&path)?),
                (Whiteout::Inside(path), _) => Whiteout::Inside(at(&path)?),
                (Whiteout::Everything, Some(below)) => Whiteout::Inside(below.clone()),
                (Whiteout::Everything, None) => Whiteout::Everything,
            });
        }
        Ok(())
    }

    /// Removes something of the layers below. The directory it is in becomes part of this layer.
    pub fn white_out(&mut self, whiteout: Whiteout) -> Result<(), TreeError> {
        match &whiteout {
            Whiteout::Path(path) => self.imply_parents(path)?,
            Whiteout::Inside(dir) => self.imply_parents(&dir.join("x")?)?,
            Whiteout::Everything => {}
        }
        self.whiteouts.insert(whiteout);
        Ok(())
    }

    /// What this layer removes from the layers below it.
    pub fn whiteouts(&self) -> impl Iterator<Item = &Whiteout> {
        self.whiteouts.iter()
    }

    /// The path that is really meant: symbolic links are followed inside the tree, the last component included,
    /// absolute ones from its root.
    pub fn resolve(&self, path: &ImagePath) -> Result<ImagePath, TreeError> {
        self.resolve_or_root(path)?
            .ok_or_else(|| TreeError::NotFound(path.clone()))
    }

    /// The same; `None` is the root.
    fn resolve_or_root(&self, path: &ImagePath) -> Result<Option<ImagePath>, TreeError> {
        let mut todo: Vec<Box<[u8]>> = path.components().rev().map(Into::into).collect();
        let mut done: Option<ImagePath> = None;
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match &*part {
                b"" | b"." => continue,
                b".." => {
                    done = done.and_then(|dir| dir.parent());
                    continue;
                }
                _ => {}
            }
            let here = match &done {
                Some(dir) => dir.join(&part)?,
                None => ImagePath::new(&part)?,
            };
            let entry = self
                .entries
                .get(&here)
                .ok_or_else(|| TreeError::NotFound(path.clone()))?;
            let Kind::Symlink(target) = &entry.kind else {
                // Nothing is reached through a file, not even its own folder by "..".
                if !entry.is_dir() && !todo.is_empty() {
                    return Err(TreeError::NotFound(path.clone()));
                }
                done = Some(here);
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(TreeError::LinkLoop(path.clone()));
            }
            if target.starts_with(b"/") {
                done = None;
            }
            todo.extend(target.split(|b| *b == b'/').rev().map(Into::into));
        }
        Ok(done)
    }

    /// A small file's bytes (up to 16 MiB), links followed inside the tree.
    pub fn read(&self, path: &ImagePath) -> Result<Vec<u8>, TreeError> {
        let at = self.resolve(path)?;
        Ok(self.content(&at)?.read(MAX_READ)?)
    }

    /// The content of the file at exactly this path, hard links followed.
    pub fn content<'a>(&'a self, path: &'a ImagePath) -> Result<&'a Content, TreeError> {
        let (path, entry) = self.follow_hardlinks(path)?;
        match &entry.kind {
            Kind::File(content) => Ok(content),
            kind => Err(TreeError::NotAFile {
                path: path.clone(),
                found: kind.name(),
            }),
        }
    }

    /// The entry behind a chain of hard links.
    fn follow_hardlinks<'a>(
        &'a self,
        path: &'a ImagePath,
    ) -> Result<(&'a ImagePath, &'a Entry), TreeError> {
        let mut at = path;
        for _ in 0..MAX_LINKS {
            let entry = self
                .entries
                .get(at)
                .ok_or_else(|| TreeError::NotFound(at.clone()))?;
            match &entry.kind {
                Kind::Hardlink(target) => at = target,
                _ => return Ok((at, entry)),
            }
        }
        Err(TreeError::LinkLoop(path.clone()))
    }

    /// Forgets all modification times, so that everything gets the image's epoch.
    pub fn forget_times(&mut self) {
        for entry in self.entries.values_mut() {
            entry.mtime = None;
        }
    }

    /// Makes every hard link a file of its own with the same content. Needed before a tree read from a foreign tar
    /// becomes a layer: Lambda refuses hard links.
    pub fn dereference_hardlinks(&mut self) -> Result<(), TreeError> {
        let links: Vec<ImagePath> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.kind, Kind::Hardlink(_)))
            .map(|(path, _)| path.clone())
            .collect();
        for path in links {
            let (_, entry) = self.follow_hardlinks(&path)?;
            let entry = Box::new(entry.clone());
            if entry.is_dir() {
                return Err(TreeError::BrokenHardlink {
                    target: path.clone(),
                    path,
                });
            }
            self.entries.insert(path, entry);
        }
        Ok(())
    }
}

impl Kind {
    /// What it is, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "a file",
            Self::Dir => "a directory",
            Self::Symlink(_) => "a symbolic link",
            Self::Hardlink(_) => "a hard link",
            Self::Special(_) => "a device or pipe",
        }
    }
}

#[cfg(test)]
mod tests;
