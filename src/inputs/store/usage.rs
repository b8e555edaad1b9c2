//! When things were used, so that pruning can tell: an entry's time is that of its last use, and whoever opens or
//! removes one holds `.uses`, the user together with others and the remover alone.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use super::{Lock, Store};

const USES: &str = ".uses";

impl Store {
    /// Opens a file and notes that it is in use; None if there is none.
    pub(super) fn open_to_use(&self, path: &Path) -> io::Result<Option<fs::File>> {
        let _uses = Lock::share(&self.root, USES, &self.progress)?;
        let file = open(path)?;
        if let Some(file) = &file {
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            };
            let times = Timestamps {
                last_access: now,
                last_modification: now,
            };
            // Who may not write it may use it all the same: nobody but its owner prunes it.
            let _ = futimens(file.file(), &times);
        }
        Ok(file)
    }

    /// Removes a damaged file, unless another one has its name by now.
    pub(super) fn evict(&self, path: &Path, seen: &fs::File) -> io::Result<bool> {
        let _uses = Lock::take(&self.root, USES, &self.progress)?;
        let (seen, there) = (seen.metadata()?, fs::symlink_metadata(path));
        let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (seen.dev(), seen.ino()));
        if same {
            super::remove_file(path)?;
        }
        Ok(same)
    }

    /// Holds off everybody who wants to use something.
    pub(super) fn no_uses(&self) -> io::Result<Lock> {
        Lock::take(&self.root, USES, &self.progress)
    }
}

/// None if there is no such file.
pub(super) fn open(path: &Path) -> io::Result<Option<fs::File>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
