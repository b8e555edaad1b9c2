//! The content-addressed store: comes in bytes, goes out the path of a file whose sha256 is its name. Knows nothing of
//! where bytes come from.
//!
//! ```text
//! blobs/sha256/<hex>       files; hashed on the first read of each process, evicted when damaged
//! steps/<hex>.json         what a build step put out, by the digest of its key
//! resolved/<hex>.json      which fallback an input came down to, by the digest of the input
//! origins/<hex>.json       which place gave a blob, by the blob's digest
//! unpacked/<name>/         folders made from blobs; `<name>.complete` beside one says that it is whole
//! partial/<hex>            a transfer to resume
//! logs/ apt/ zig/ tmp/ sessions/ locks/
//! ```
//!
//! Blobs, records of steps and markers have the time of their last use, by which [`Store::prune`] goes.
//!
//! Nothing gets its final name before it is complete and on the disk, so a process may die at any moment. Temporary
//! entries are locked while their owner lives; what a dead one left behind goes at the next [`Store::open`].

mod census;
mod lower;
mod prune;
mod usage;
mod verify;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use oci::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use census::{Entry, Kind};
pub use prune::{Policy, Pruned};
pub use verify::Damage;

use super::lock::{self, Lock, Temporary};
use super::{BlobWriter, Progress};
use lower::Lower;

/// An unfinished transfer that nobody resumed for this long is not worth its space.
const PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A store in a folder. Threads share one; processes share the folder.
pub struct Store {
    root: PathBuf,
    progress: Progress,
    verified: Mutex<BTreeSet<Digest>>,
    lower: Option<Lower>,
    session: Option<Temporary>,
}

/// The store's folder cannot be used, or what was put in is not what was announced.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder itself.
    #[error("cannot use the store in {}", root.display())]
    Open {
        /// The folder.
        root: PathBuf,
        /// Why; names the path.
        #[source]
        source: io::Error,
    },
    /// Something in it; the error names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Bytes that are not what they were said to be.
    #[error("expected {expected}, got {got}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// A name that could leave the store.
    #[error("{0:?} cannot be a name in the store")]
    Name(String),
}

impl Store {
    /// Opens the store in `root`, made if missing, and clears away what dead processes left.
    pub fn open(root: impl Into<PathBuf>, progress: Progress) -> Result<Self, StoreError> {
        let mut store = Self {
            root: root.into(),
            progress,
            verified: Mutex::default(),
            lower: None,
            session: None,
        };
        match store.prepare() {
            Ok(session) => store.session = Some(session),
            Err(source) => {
                return Err(StoreError::Open {
                    root: store.root,
                    source,
                });
            }
        }
        Ok(store)
    }

    /// Looks in another store, too, for what this one does not have. Nothing is ever written there; what is damaged
    /// there is named and passed over.
    pub fn over(mut self, lower: Option<&Path>) -> Self {
        self.lower = lower.map(|root| Lower::new(root, &self.progress));
        self
    }

    fn prepare(&self) -> io::Result<Temporary> {
        let folders = [
            "blobs/sha256",
            "steps",
            "resolved",
            "origins",
            "unpacked",
            "partial",
            "logs",
            "apt",
            "tmp",
            lock::SESSIONS,
            "locks",
        ];
        for folder in folders {
            fs::create_dir_all(self.root.join(folder))?;
        }
        lock::clean(&self.root)?;
        let session = Temporary::session(&self.root)?;
        for entry in fs::read_dir(self.root.join("partial"))? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > PARTIAL_AGE {
                remove_file(&entry.path())?;
            }
        }
        Ok(session)
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where messages go.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The folder for the logs of steps.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The file with these bytes, if it is there and whole. A damaged one is removed, with a warning.
    pub fn blob(&self, digest: &Digest) -> Result<Option<PathBuf>, StoreError> {
        match (self.own_blob(digest)?, &self.lower) {
            (None, Some(lower)) => Ok(lower.blob(digest, &self.progress)),
            (own, _) => Ok(own),
        }
    }

    fn own_blob(&self, digest: &Digest) -> Result<Option<PathBuf>, StoreError> {
        let path = self.blob_path(digest);
        let Some(file) = self.open_to_use(&path)? else {
            return Ok(None);
        };
        if self.is_verified(digest) {
            return Ok(Some(path));
        }
        let (got, size) = Digest::of_reader(&file)?;
        if got == *digest {
            self.set_verified(digest);
            return Ok(Some(path));
        }
        if self.evict(&path, &file)? {
            let message = format!(
                "{} is damaged ({size} bytes, {got}); removed",
                path.display()
            );
            self.progress.warn(&message);
        }
        Ok(None)
    }

    /// Takes bytes in memory.
    pub fn insert_bytes(&self, bytes: &[u8]) -> Result<(Digest, PathBuf), StoreError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes)?;
        writer.finish()
    }

    /// Copies a file of the user's.
    pub fn insert_file(&self, path: &Path) -> Result<(Digest, PathBuf), StoreError> {
        let mut writer = self.writer()?;
        io::copy(&mut fs::File::open(path)?, &mut writer)?;
        writer.finish()
    }

    /// For bytes whose digest is not known yet.
    pub fn writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        Ok(BlobWriter::new(self, Temporary::file(&self.root)?))
    }

    /// Moves a file that lies on the store's own file system. One with other bytes is deleted, and an error.
    pub fn adopt(&self, path: &Path, expected: &Digest) -> Result<PathBuf, StoreError> {
        let file = fs::File::open(path)?;
        let (got, _) = Digest::of_reader(&file)?;
        if got != *expected {
            remove_file(path)?;
            let expected = *expected;
            return Err(StoreError::Mismatch { expected, got });
        }
        file.sync_all()?;
        self.commit(path, expected)
    }

    /// The blob, through `download` if it is not there. `download` leaves the bytes in the file that it is given, which
    /// may hold the beginning of them from a transfer that broke. One download per blob at a time, on the whole machine.
    pub fn obtain<E: From<StoreError>>(
        &self,
        digest: &Digest,
        download: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.blob(digest)? {
            return Ok(path);
        }
        let _lock = self.lock(&format!("blob-{}", digest.hex()))?;
        if let Some(path) = self.blob(digest)? {
            return Ok(path);
        }
        let part = self.root.join("partial").join(digest.hex());
        let ended = download(&part);
        if ended.is_err() && fs::metadata(&part).is_ok_and(|part| part.len() == 0) {
            // Nothing to go on from.
            remove_file(&part).map_err(StoreError::from)?;
        }
        ended?;
        Ok(self.adopt(&part, digest)?)
    }

    /// Holds a key for this process and thread alone; says so once when it has to wait.
    pub fn lock(&self, key: &str) -> Result<Lock, StoreError> {
        Ok(Lock::take(&self.root, check(key)?, &self.progress)?)
    }

    /// Holds a key together with others who only share it.
    pub fn lock_shared(&self, key: &str) -> Result<Lock, StoreError> {
        Ok(Lock::share(&self.root, check(key)?, &self.progress)?)
    }

    /// A folder of one's own inside the store's file system, gone when dropped.
    pub fn temporary(&self) -> Result<Temporary, StoreError> {
        Ok(Temporary::dir(&self.root)?)
    }

    /// What the step with this key put out last time.
    pub fn step_output<T: DeserializeOwned>(&self, key: &Digest) -> Result<Option<T>, StoreError> {
        self.recall("steps", key)
    }

    /// Remembers what the step with this key put out.
    pub fn record_step<T: Serialize>(&self, key: &Digest, outputs: &T) -> Result<(), StoreError> {
        self.record("steps", key, outputs)
    }

    /// A folder made once: `make` fills a temporary one, which then gets its name. Locked by name.
    pub fn directory<E: From<StoreError>>(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.root.join("unpacked").join(check(name)?);
        let marker = self.root.join("unpacked").join(format!("{name}.complete"));
        let whole = || -> Result<bool, StoreError> {
            Ok(self.open_to_use(&marker)?.is_some() && path.is_dir())
        };
        if whole()? {
            return Ok(path);
        }
        if let Some(path) = self.lower.as_ref().and_then(|lower| lower.directory(name)) {
            return Ok(path);
        }
        let _lock = self.lock(&format!("unpacked-{name}"))?;
        if whole()? {
            return Ok(path);
        }
        let temporary = self.temporary()?;
        let tree = temporary.path().join("tree");
        fs::create_dir(&tree).map_err(StoreError::from)?;
        make(&tree)?;
        self.publish_directory(&tree, &path, &marker)?;
        Ok(path)
    }

    fn publish_directory(&self, tree: &Path, path: &Path, marker: &Path) -> Result<(), StoreError> {
        // Flushes every file of the tree in one call; thousands of fsyncs would take longer than making them.
        rustix::fs::syncfs(fs::File::open(tree)?.file()).map_err(io::Error::from)?;
        remove_file(marker)?;
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::rename(tree, path)?;
        sync_parent(path)?;
        let listing = verify::listing(path)?;
        self.write_whole(marker, format!("{listing}\n").as_bytes())
    }

    pub(super) fn recall<T: DeserializeOwned>(
        &self,
        kind: &str,
        key: &Digest,
    ) -> Result<Option<T>, StoreError> {
        let path = self.record_path(kind, key);
        // The age of what an input came down to counts from when it was written.
        let file = match kind {
            "resolved" => usage::open(&path)?,
            _ => self.open_to_use(&path)?,
        };
        let Some(mut file) = file else {
            let lower = self.lower.as_ref().filter(|_| kind != "resolved");
            return Ok(lower.and_then(|lower| lower.record(kind, key, &self.progress)));
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let message = format!("{} is damaged ({error}); removed", path.display());
                self.progress.warn(&message);
                self.evict(&path, &file)?;
                Ok(None)
            }
        }
    }

    pub(super) fn record<T: Serialize>(
        &self,
        kind: &str,
        key: &Digest,
        value: &T,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(io::Error::from)?;
        self.write_whole(&self.record_path(kind, key), &bytes)
    }

    pub(super) fn record_path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.root.join(kind).join(format!("{}.json", key.hex()))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = Temporary::file(&self.root)?;
        file.write_all(bytes)?;
        file.sync()?;
        fs::rename(file.path(), path)?;
        Ok(sync_parent(path)?)
    }

    pub(super) fn commit(&self, file: &Path, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.blob_path(digest);
        // Replacing is right even if somebody was faster: the bytes are the same, or the old ones are damaged.
        fs::rename(file, &path)?;
        sync_parent(&path)?;
        self.set_verified(digest);
        Ok(path)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.root, digest)
    }

    fn is_verified(&self, digest: &Digest) -> bool {
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(digest)
    }

    fn set_verified(&self, digest: &Digest) {
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(*digest);
    }
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let (Self::Open { source, .. } | Self::Io(source)) = self else {
            return None;
        };
        let advice = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full: free some space, or choose another disk with --cache-dir DIR"
            }
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => {
                "choose a folder that you may write to with --cache-dir DIR"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs/sha256").join(digest.hex())
}

/// A name of one path component, and of nothing that the store itself uses.
fn check(name: &str) -> Result<&str, StoreError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-=@".contains(c);
    let good = !name.is_empty()
        && name.len() <= 200
        && name.chars().all(plain)
        && !name.starts_with('.')
        && !name.ends_with(".complete");
    if good {
        Ok(name)
    } else {
        Err(StoreError::Name(name.to_owned()))
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
