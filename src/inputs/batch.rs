//! Many Debian packages at once: comes in artifacts, goes out which of them are in the store now. One call of apt for all of
//! them takes seconds where one call for each takes a minute. Reports no errors: what is missing afterwards is asked for one by
//! one, and that says why.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use oci::Digest;

use super::debian::{Apt, PoolFile};
use super::{Artifact, Origin, Store, StoreError};

/// Fetches those of the artifacts whose first origin is a Debian package.
pub(super) fn prefetch(
    store: &Store,
    apt: &Apt,
    artifacts: &[&Artifact],
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut got = BTreeSet::new();
    let wanted: Vec<(&Artifact, PoolFile)> =
        artifacts.iter().filter_map(|one| package(one)).collect();
    let [(first, _), _, ..] = &wanted[..] else {
        return Ok(got);
    };
    // Another process that wants the same leaves nothing to do.
    let _lock = store.lock(&format!("packages-{}", &first.sha256.hex()[..16]))?;
    let mut missing = Vec::new();
    for one in wanted {
        if store.blob(&one.0.sha256)?.is_none() {
            missing.push(one);
        }
    }
    if missing.is_empty() {
        return Ok(got);
    }
    let (missing, files): (Vec<&Artifact>, Vec<PoolFile>) = missing.into_iter().unzip();
    let transfer = store
        .progress()
        .transfer(&format!("{} packages", files.len()), None);
    transfer.from("Debian");
    let dir = store.temporary()?;
    let _ = apt.files(&files, dir.path());
    let mut bytes = 0;
    for (artifact, file) in missing.iter().zip(&files) {
        if let Some(size) = take(store, &artifact.sha256, &dir.path().join(file.name()))? {
            got.insert(artifact.sha256);
            bytes += size;
        }
    }
    if !got.is_empty() {
        transfer.done(bytes, "Debian");
    }
    Ok(got)
}

fn package(artifact: &Artifact) -> Option<(&Artifact, PoolFile<'_>)> {
    let origin = artifact.origins.first()?;
    let is_package = matches!(origin, Origin::DebianPackage { .. }) && origin.check().is_ok();
    Some((artifact, PoolFile::of(origin).filter(|_| is_package)?))
}

/// Puts a file into the store; `None` unless it is there and the one that is wanted.
fn take(store: &Store, sha256: &Digest, file: &Path) -> Result<Option<u64>, StoreError> {
    let Ok(found) = fs::metadata(file) else {
        return Ok(None);
    };
    let adopted = store.obtain(sha256, |part| Ok::<(), StoreError>(fs::rename(file, part)?));
    match adopted {
        Ok(_) => Ok(Some(found.len())),
        Err(StoreError::Mismatch { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
