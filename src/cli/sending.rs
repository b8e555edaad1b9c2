//! What people see of blobs on their way: a bar per blob on a terminal, a line per blob elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use oci::Digest;
use oci::registry::{Descriptor, Outcome, Watch};

use crate::inputs::{Progress, Transfer};

/// The blobs under way.
pub struct Sending {
    progress: Progress,
    transfers: Mutex<BTreeMap<Digest, Transfer>>,
}

impl Sending {
    /// Reports there.
    pub fn new(progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            transfers: Mutex::default(),
        }
    }
}

impl Watch for Sending {
    fn at(&self, blob: &Descriptor, bytes: u64) {
        let mut transfers = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let start = || {
            self.progress
                .transfer(&short(&blob.digest), Some(blob.size))
        };
        transfers.entry(blob.digest).or_insert_with(start).at(bytes);
    }

    fn done(&self, blob: &Descriptor, outcome: &Outcome) {
        let mut transfers = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let transfer = transfers.remove(&blob.digest);
        drop(transfers);
        match (outcome, transfer) {
            (Outcome::Sent, Some(transfer)) => transfer.ended("sent", blob.size, None),
            (Outcome::Fetched, Some(transfer)) => transfer.ended("fetched", blob.size, None),
            (Outcome::Mounted(from), _) => {
                let name = short(&blob.digest);
                self.progress.note(&format!("took {name} from {from}"));
            }
            _ => {}
        }
    }
}

/// Enough to tell blobs apart.
fn short(digest: &Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}
