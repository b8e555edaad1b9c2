//! A blob in the making.

use std::io::{self, Write};
use std::path::PathBuf;

use oci::Digest;
use oci::digest::Hasher;

use super::lock::Temporary;
use super::{Store, StoreError};

/// Takes bytes; they become a blob with [`BlobWriter::finish`] and vanish without it.
pub struct BlobWriter<'s> {
    store: &'s Store,
    hasher: Hasher<Temporary>,
}

impl<'s> BlobWriter<'s> {
    pub(super) fn new(store: &'s Store, file: Temporary) -> Self {
        Self {
            store,
            hasher: Hasher::new(file),
        }
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.hasher.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.flush()
    }
}

impl BlobWriter<'_> {
    /// Makes a blob of what was written.
    pub fn finish(self) -> Result<(Digest, PathBuf), StoreError> {
        let (digest, _, file) = self.hasher.finish();
        file.sync()?;
        Ok((digest, self.store.commit(file.path(), &digest)?))
    }

    /// Makes a blob of what was written if it is what was expected.
    pub fn finish_as(self, expected: &Digest) -> Result<PathBuf, StoreError> {
        let (got, _, file) = self.hasher.finish();
        if got != *expected {
            let expected = *expected;
            return Err(StoreError::Mismatch { expected, got });
        }
        file.sync()?;
        self.store.commit(file.path(), expected)
    }
}
