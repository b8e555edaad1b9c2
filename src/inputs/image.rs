//! Base images, from a registry, by the digest of one platform's manifest; all their blobs become the store's.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use oci::registry::{BlobSink, Platform, PullError, Reference, Registry};
use oci::{Digest, ManifestDigest};

use super::origins::Reason;
use super::progress::Transfer;
use super::url::Urls;
use super::{Store, StoreError};
use crate::arch::Arch;

struct Sink<'a> {
    store: &'a Store,
    transfer: &'a Transfer,
    /// The blob under way, its bytes so far, and those of the blobs before it.
    under_way: Cell<(Option<Digest>, u64, u64)>,
}

/// Returns the manifest's blob.
pub(super) fn fetch(
    store: &Store,
    urls: &Urls,
    reference: &str,
    arch: Arch,
    pinned: &Digest,
    transfer: &Transfer,
) -> Result<PathBuf, Reason> {
    let reference: Reference = reference
        .parse()
        .map_err(|error| Reason::Unusable(format!("{error}")))?;
    let reference = reference.with_digest(ManifestDigest(*pinned));
    let registry = Registry::new(urls.http(), reference)?;
    let sink = Sink {
        store,
        transfer,
        under_way: Cell::default(),
    };
    let platform = platform(arch);
    let pulled =
        urls.while_reachable(&registry.host(), || registry.pull(Some(&platform), &sink))?;
    let stored = store.blob(&pulled.digest.0)?;
    stored.ok_or_else(|| Reason::NoFile("the registry", pulled.digest.to_string()))
}

/// Linux on an architecture.
pub(super) fn platform(arch: Arch) -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: arch.name().to_owned(),
        variant: None,
    }
}

impl BlobSink for Sink<'_> {
    type Error = Reason;

    fn find(&self, digest: &Digest) -> Result<Option<PathBuf>, Reason> {
        Ok(self.store.blob(digest)?)
    }

    fn obtain(
        &self,
        digest: &Digest,
        download: &mut dyn FnMut(&Path) -> Result<(), PullError>,
    ) -> Result<PathBuf, Reason> {
        self.store
            .obtain(digest, |part| Ok::<(), Reason>(download(part)?))
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Reason> {
        self.store
            .insert_bytes(bytes)
            .map(drop)
            .map_err(StoreError::into)
    }

    fn at(&self, digest: &Digest, bytes: u64) {
        let (blob, so_far, before) = self.under_way.get();
        let before = if blob == Some(*digest) {
            before
        } else {
            before + so_far
        };
        self.under_way.set((Some(*digest), bytes, before));
        self.transfer.at(before + bytes);
    }
}
