//! A blob as it is read: its end is reached only if digest and size are right.

use std::io::{self, Read, Write};

use crate::Digest;
use crate::digest::Hasher;

/// Passes bytes on and hashes them. Fails as soon as there are more than there should be, and at the end when there are
/// fewer or others; never says that the end is reached otherwise.
pub struct Verified<R> {
    inner: R,
    hasher: Hasher<io::Sink>,
    read: u64,
    expected: Digest,
    size: u64,
    /// Once the end was seen, or too much.
    verdict: Option<Result<(), Mismatch>>,
}

/// Bytes that are not the ones that their digest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} of {size} bytes, got {got} of {got_size} bytes")]
pub struct Mismatch {
    /// By the descriptor.
    pub expected: Digest,
    /// By the descriptor.
    pub size: u64,
    /// As computed, up to the first byte too many.
    pub got: Digest,
    /// As counted.
    pub got_size: u64,
}

impl<R: Read> Verified<R> {
    /// Reads from the start of a blob.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self {
            inner,
            hasher: Hasher::new(io::sink()),
            read: 0,
            expected,
            size,
            verdict: None,
        }
    }

    fn judge(&mut self) -> Result<(), Mismatch> {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(io::sink()));
        let (got, got_size, _) = hasher.finish();
        if (got, got_size) == (self.expected, self.size) {
            return Ok(());
        }
        Err(Mismatch {
            expected: self.expected,
            size: self.size,
            got,
            got_size,
        })
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut n = 0;
        if self.verdict.is_none() {
            n = self.inner.read(buf)?;
            self.hasher.write_all(&buf[..n])?;
            self.read += n as u64;
            if n == 0 || self.read > self.size {
                self.verdict = Some(self.judge());
            }
        }
        match self.verdict {
            Some(Err(mismatch)) => Err(io::Error::new(io::ErrorKind::InvalidData, mismatch)),
            _ => Ok(n),
        }
    }
}

/// Why a read failed, if it was because of the bytes.
pub fn mismatch(error: &io::Error) -> Option<Mismatch> {
    error.get_ref()?.downcast_ref().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_bytes_reach_their_end() {
        let right = b"the bytes".as_slice();
        for (bytes, size, fails) in [
            (right, 9, false),
            (b"the bytez", 9, true),
            (b"the byte", 9, true),
            (b"the bytes and more", 9, true),
            (right, 8, true),
            (right, 10, true),
            (b"", 9, true),
        ] {
            let mut reader = Verified::new(bytes, Digest::of(right), size);
            let read = io::copy(&mut reader, &mut io::sink());
            assert_eq!(read.is_err(), fails, "{bytes:?} of {size}");
            if let Err(error) = read {
                assert!(mismatch(&error).is_some());
            } else {
                assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
            }
        }
        let mut empty = Verified::new(&b""[..], Digest::of(b""), 0);
        assert_eq!(empty.read(&mut [0; 9]).unwrap(), 0);
    }
}
