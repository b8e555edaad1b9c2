//! Base images, from a registry, by the digest of one platform's manifest; all their blobs become the store's.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use oci::registry::{BlobSink, PullError, Reference, Registry};
use oci::{Digest, ManifestDigest};

use super::origins::Reason;
use super::progress::Transfer;
use super::url::Urls;
use super::{Store, StoreError};

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
    manifest: &Digest,
    transfer: &Transfer,
) -> Result<PathBuf, Reason> {
    let reference: Reference = reference
        .parse()
        .map_err(|error| Reason::Unusable(format!("{error}")))?;
    let reference = reference.with_digest(ManifestDigest(*manifest));
    let registry = Registry::new(urls.http(), reference, None, false)?;
    let sink = Sink {
        store,
        transfer,
        under_way: Cell::default(),
    };
    urls.while_reachable(&registry.host(), || registry.pull(None, &sink))?;
    let stored = store.blob(manifest)?;
    stored.ok_or_else(|| Reason::NoFile("the registry", manifest.to_string()))
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
