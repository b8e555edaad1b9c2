//! The bill of materials of an image to compare: the file beside it, or what is attached to it in its registry.

use std::io::Read;

use anyhow::{Context, Result};
use oci::ManifestDigest;
use oci::registry::{Descriptor, Endpoint, Http, Links, Reference, Referrers};
use oci::source::{ImageSource, Location};

use crate::papers::Paper;

const BILL: Paper = Paper::CycloneDx;
/// Those of our own have 300 kB.
const LARGEST: u64 = 64 << 20;

/// The CycloneDX document of an image; `None` without one that says it is of this image.
pub fn of(
    location: &Location,
    source: &ImageSource,
    digest: ManifestDigest,
    http: &Http,
) -> Result<Option<Vec<u8>>> {
    match location {
        Location::Local { path, .. } => {
            let bytes = fs_err::read(BILL.path(path)).ok();
            Ok(bytes.filter(|bytes| BILL.is_of(bytes, digest)))
        }
        Location::Registry(reference) => attached(reference, source, digest, http)
            .with_context(|| format!("cannot read the papers of {location}")),
    }
}

fn attached(
    reference: &Reference,
    source: &ImageSource,
    digest: ManifestDigest,
    http: &Http,
) -> Result<Option<Vec<u8>>> {
    let referrers = Referrers {
        endpoint: &Endpoint::new(http, reference)?,
        repository: reference.repository(),
        subject: digest.0,
    };
    for entry in referrers.list(Some(BILL.media_type()))? {
        let descriptor = Descriptor {
            media_type: entry.media_type,
            digest: entry.digest,
            size: entry.size,
        };
        let links = Links::parse(&source.document(&descriptor)?)?;
        for file in links.blobs.iter().filter(|file| file.size <= LARGEST) {
            let mut bytes = Vec::new();
            source.blob(file)?.read_to_end(&mut bytes)?;
            if BILL.is_of(&bytes, digest) {
                return Ok(Some(bytes));
            }
        }
    }
    Ok(None)
}
