//! How blobs on their way are reported.

use super::Descriptor;

/// Hears how blobs travel, from several threads.
pub trait Watch: Send + Sync {
    /// So many bytes of a blob are through.
    fn at(&self, blob: &Descriptor, bytes: u64);
    /// A blob is where it should be.
    fn done(&self, blob: &Descriptor, outcome: &Outcome);
}

/// How a blob came to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    There,
    /// The registry took it from another repository.
    Mounted(String),
    /// It was sent.
    Sent,
    /// It was fetched.
    Fetched,
}
