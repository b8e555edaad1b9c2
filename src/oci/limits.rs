//! What an archive or a layer from elsewhere may ask of this machine.

use std::io;
use std::sync::OnceLock;

/// Bounds for reading archives. Like a shell's `ulimit` they are the process's: the program sets them once, at its
/// start, and every reader goes by [`Limits::current`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of one archive.
    pub entries: u64,
    /// Bytes that one archive unpacks to.
    pub size: u64,
    /// How many times its own size a compressed archive may unpack to; the first 256 MiB are free.
    pub ratio: u64,
    /// Bytes of the extensions in front of one member: names, attributes.
    pub metadata: u64,
}

/// What a compressed archive may unpack to whatever its size.
const FREE: u64 = 256 << 20;

static CHOSEN: OnceLock<Limits> = OnceLock::new();

impl Default for Limits {
    /// Far above every image that Lambda could take: two million members, 64 GiB, 1 MiB of extensions. Deflate reaches a
    /// ratio of 1032 on zeros, real layers stay below 20.
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            size: 64 << 30,
            ratio: 500,
            metadata: 1 << 20,
        }
    }
}

impl Limits {
    /// The process's: the defaults, if it chose none.
    pub fn current() -> Self {
        CHOSEN.get().copied().unwrap_or_default()
    }

    /// Makes these the process's; later calls change nothing.
    pub fn choose(self) {
        let _ = CHOSEN.set(self);
    }

    /// What a compressed archive of so many bytes may unpack to.
    pub fn unpacked(&self, compressed: u64) -> u64 {
        let by_ratio = compressed.saturating_mul(self.ratio).max(FREE);
        self.size.min(by_ratio)
    }
}

/// An archive that unpacks to more than it may: the source of an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it unpacks to more than {0} bytes")]
pub struct Bomb(pub u64);

impl Bomb {
    /// What to do about it.
    pub const HINT: &'static str = "if you trust it, raise the limits: --max-unpacked, --max-ratio";

    /// The one that made a reader fail.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Reads so many bytes at most; one more is an error that [`Bomb::of`] knows.
pub struct Bounded<R> {
    reader: R,
    read: u64,
    limit: u64,
}

impl<R: io::Read> Bounded<R> {
    /// `limit` in bytes.
    pub fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            read: 0,
            limit,
        }
    }

    /// The reader inside.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: io::Read> io::Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.read += n as u64;
        match self.read > self.limit {
            true => Err(io::Error::other(Bomb(self.limit))),
            false => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn what_an_archive_may_unpack_to() {
        let limits = Limits::default();
        assert_eq!(limits.unpacked(0), FREE);
        assert_eq!(limits.unpacked(1 << 20), 500 << 20);
        assert_eq!(limits.unpacked(u64::MAX), limits.size);
        let read = |limit| {
            let mut bounded = Bounded::new(&b"12345"[..], limit);
            bounded.read_to_end(&mut Vec::new())
        };
        assert_eq!(read(5).unwrap(), 5);
        assert_eq!(Bomb::of(&read(4).unwrap_err()), Some(Bomb(4)));
    }
}
