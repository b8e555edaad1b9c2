//! A tree of an uncompressed tar on this machine: an index into it.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Tree, TreeError};
use crate::ImagePath;
use crate::entry::{Entry, Kind};
use crate::limits::Limits;
use crate::tar_reader::{Member, TarError, TarReader};

impl Tree {
    /// Reads the headers of an uncompressed tar through [`TarReader`]'s policy. The tar must stay where it is while
    /// the tree is used. Of members with the same name the last one counts. Hard links stay hard links.
    pub fn from_tar(path: &Path) -> Result<Self, TreeError> {
        Self::from_members(TarReader::open(path, Limits::current())?)
    }

    /// The same with a reader of the caller's. Content that was read from a stream has no place on this machine and
    /// cannot be read later.
    pub fn from_members(
        members: impl Iterator<Item = Result<Member, TarError>>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::new();
        let mut targets = BTreeSet::new();
        for member in members {
            match member? {
                Member::Root => {}
                Member::Whiteout(whiteout) => tree.white_out(whiteout)?,
                Member::Entry(path, entry) => tree.add_member(path, entry, &mut targets)?,
            }
        }
        Ok(tree)
    }

    /// Adds the next member of a tar; `targets` are the hard links' targets so far.
    pub(crate) fn add_member(
        &mut self,
        path: ImagePath,
        entry: Entry,
        targets: &mut BTreeSet<ImagePath>,
    ) -> Result<(), TreeError> {
        // On a disk the link would keep the first file; an index would silently show it the second.
        if targets.contains(&path) {
            return Err(TreeError::BrokenHardlink {
                target: path.clone(),
                path,
            });
        }
        if let Kind::Hardlink(target) = &entry.kind {
            if target == &path || self.get(target).is_some_and(Entry::is_dir) {
                return Err(TreeError::BrokenHardlink {
                    target: target.clone(),
                    path,
                });
            }
            targets.insert(target.clone());
        }
        self.insert(path, entry)
    }
}
