//! A store of somebody else's below one's own: read, checked like one's own, and never written to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use oci::Digest;
use serde::de::DeserializeOwned;

use super::{Progress, blob_path, usage};

pub(super) struct Lower {
    root: PathBuf,
    /// What was looked at, and whether it is whole.
    seen: Mutex<BTreeMap<Digest, bool>>,
}

impl Lower {
    pub(super) fn new(root: &Path, progress: &Progress) -> Self {
        if !root.join("blobs").is_dir() {
            progress.warn(&format!("there is no store in {}", root.display()));
        }
        Self {
            root: root.to_owned(),
            seen: Mutex::default(),
        }
    }

    pub(super) fn blob(&self, digest: &Digest, progress: &Progress) -> Option<PathBuf> {
        let path = blob_path(&self.root, digest);
        let read = usage::open(&path).and_then(|file| match file {
            Some(file) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(whole) = seen.get(digest) {
                    return Ok(*whole);
                }
                let (got, size) = Digest::of_reader(file)?;
                let whole = got == *digest;
                seen.insert(*digest, whole);
                if !whole {
                    let path = path.display();
                    progress.warn(&format!(
                        "{path} is damaged ({size} bytes, {got}); passed over"
                    ));
                }
                Ok(whole)
            }
            None => Ok(false),
        });
        match read {
            Ok(whole) => whole.then_some(path),
            Err(error) => {
                progress.warn(&format!("{error}; passed over"));
                None
            }
        }
    }

    pub(super) fn record<T: DeserializeOwned>(
        &self,
        kind: &str,
        key: &Digest,
        progress: &Progress,
    ) -> Option<T> {
        let path = self.root.join(kind).join(format!("{}.json", key.hex()));
        let bytes = fs::read(&path).ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| {
                let path = path.display();
                progress.warn(&format!("{path} is damaged ({error}); passed over"));
            })
            .ok()
    }

    /// A folder that is said to be whole.
    pub(super) fn directory(&self, name: &str) -> Option<PathBuf> {
        let folder = self.root.join("unpacked");
        let path = folder.join(name);
        let whole = folder.join(format!("{name}.complete")).is_file() && path.is_dir();
        whole.then_some(path)
    }
}

#[cfg(test)]
mod tests;
