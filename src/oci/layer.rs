//! Layers: finished gzip blobs with both of their digests. One is made from a tree by [`LayerWriter`], or taken as it
//! is from elsewhere by [`Layer::from_blob`]; there is no half-done layer.

use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::blob;
use crate::digest::{DiffId, Digest, Hasher, LayerDigest};
use crate::epoch::Epoch;
use crate::gzip::GzipWriter;
use crate::limits::{Bomb, Bounded, Limits};
use crate::media_type;
use crate::tar_writer::{TarWriteError, Times, write_tar};
use crate::tree::Tree;

/// A gzip layer on this machine: its bytes are `path`, and their digest was computed from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    digest: LayerDigest,
    diff_id: DiffId,
    size: u64,
    path: PathBuf,
}

/// A layer that cannot be made or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tree cannot be a layer.
    #[error(transparent)]
    Tar(#[from] TarWriteError),
    /// The blob's folder cannot be written.
    #[error("cannot write a layer to {}", dir.display())]
    Write {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The blob cannot be read.
    #[error("cannot read the layer {}", path.display())]
    Read {
        /// The blob.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The blob's bytes are others.
    #[error("{}: expected {expected} of {expected_size} bytes, got {got} of {got_size} bytes", path.display())]
    Digest {
        /// The blob.
        path: PathBuf,
        /// As the manifest says.
        expected: LayerDigest,
        /// As the manifest says.
        expected_size: u64,
        /// As computed.
        got: LayerDigest,
        /// As counted.
        got_size: u64,
    },
    /// Not compressed with gzip, by its media type.
    #[error("layer {digest} is {media_type}: only gzip layers can be used")]
    MediaType {
        /// The layer.
        digest: LayerDigest,
        /// As the manifest says.
        media_type: String,
    },
    /// Said to be gzip, but is not.
    #[error("{} is not a gzip file", path.display())]
    NotGzip {
        /// The blob.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Unpacks to more than a sane layer would.
    #[error("{} unpacks to more than {limit} bytes", path.display())]
    Bomb {
        /// The blob.
        path: PathBuf,
        /// The limit that was met.
        limit: u64,
    },
}

impl LayerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tar(error) => error.hint(),
            Self::MediaType { .. } => Some(
                "Lambda takes gzip layers only; name a base image with gzip layers, or convert this one first",
            ),
            Self::Digest { .. } | Self::NotGzip { .. } => {
                Some("the file is damaged; remove it, so that it is fetched again")
            }
            Self::Bomb { .. } => Some(Bomb::HINT),
            _ => None,
        }
    }
}

impl Layer {
    /// Digest of the blob.
    pub fn digest(&self) -> LayerDigest {
        self.digest
    }

    /// Digest of the tar in the blob.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// Size of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Always OCI's gzip layer; the types of Docker name the same bytes.
    pub fn media_type(&self) -> &'static str {
        media_type::LAYER_GZIP
    }

    /// Takes a layer from elsewhere, such as a base image's. The bytes stay as they are; digest, size and compression
    /// are checked, and the diffID is computed. `media_type` is the manifest's, of OCI or Docker.
    pub fn from_blob(
        path: &Path,
        digest: LayerDigest,
        size: u64,
        media_type: &str,
    ) -> Result<Self, LayerError> {
        if !media_type::is_gzip_layer(media_type) {
            return Err(LayerError::MediaType {
                digest,
                media_type: media_type.to_owned(),
            });
        }
        let mut unpacker = Unpacker::open(path)?;
        let unpacked = Digest::of_reader(&mut unpacker);
        let (got, got_size) = unpacker.finish()?;
        // Damaged bytes are the better explanation for a failed decompression.
        if (got, got_size) != (digest, size) {
            return Err(LayerError::Digest {
                path: path.to_owned(),
                expected: digest,
                expected_size: size,
                got,
                got_size,
            });
        }
        let (diff_id, _) = unpacked.map_err(|source| not_gzip(path, source))?;
        Ok(Self {
            digest,
            diff_id: DiffId(diff_id),
            size,
            path: path.to_owned(),
        })
    }

    /// A layer that was made here before: the blob's digest and size are checked, the diffID is believed, so that
    /// nothing has to be decompressed.
    pub fn recorded(
        path: &Path,
        digest: LayerDigest,
        diff_id: DiffId,
        size: u64,
    ) -> Result<Self, LayerError> {
        let failed = |source| LayerError::Read {
            path: path.to_owned(),
            source,
        };
        let file = fs_err::File::open(path).map_err(failed)?;
        let (got, got_size) = Digest::of_reader(file).map_err(failed)?;
        if (LayerDigest(got), got_size) != (digest, size) {
            return Err(LayerError::Digest {
                path: path.to_owned(),
                expected: digest,
                expected_size: size,
                got: LayerDigest(got),
                got_size,
            });
        }
        Ok(Self {
            digest,
            diff_id,
            size,
            path: path.to_owned(),
        })
    }

    /// Writes the uncompressed tar to a file, for [`Tree::from_tar`]. The file appears when it is complete and
    /// verified.
    pub fn unpack_to(&self, tar: &Path) -> Result<(), LayerError> {
        let dir = blob::parent(tar);
        let failed = |source| LayerError::Write {
            dir: dir.to_owned(),
            source,
        };
        let mut unpacker = Unpacker::open(&self.path)?;
        let mut temporary = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        let mut hasher = Hasher::new(io::sink());
        let mut buffer = vec![0; 256 << 10];
        loop {
            let chunk = match unpacker.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => &buffer[..n],
                Err(source) => return Err(not_gzip(&self.path, source)),
            };
            let written = hasher.write_all(chunk).and_then(|()| {
                // What is empty takes no room on the disk, either.
                match chunk.iter().all(|byte| *byte == 0) {
                    true => temporary.seek_relative(chunk.len() as i64),
                    false => temporary.write_all(chunk),
                }
            });
            written.map_err(failed)?;
        }
        let (got, got_size) = unpacker.finish()?;
        let (diff_id, size, _) = hasher.finish();
        temporary.as_file().set_len(size).map_err(failed)?;
        if got != self.digest || DiffId(diff_id) != self.diff_id {
            return Err(LayerError::Digest {
                path: self.path.clone(),
                expected: self.digest,
                expected_size: self.size,
                got,
                got_size,
            });
        }
        blob::commit(temporary, tar).map_err(failed)
    }
}

fn not_gzip(path: &Path, source: io::Error) -> LayerError {
    match Bomb::of(&source) {
        Some(Bomb(limit)) => LayerError::Bomb {
            path: path.to_owned(),
            limit,
        },
        None => LayerError::NotGzip {
            path: path.to_owned(),
            source,
        },
    }
}

/// Reads a gzip blob's content, within the bounds of a sane layer.
pub(crate) struct Unpacker<R>(Bounded<MultiGzDecoder<BufReader<R>>>);

/// A blob's file, hashed while it is read.
pub(crate) struct Hashed {
    path: PathBuf,
    file: fs_err::File,
    hasher: Hasher<io::Sink>,
}

impl Read for Hashed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        self.hasher.write_all(&buf[..n])?;
        Ok(n)
    }
}

impl<R: Read> Unpacker<R> {
    /// `size` is the blob's.
    pub(crate) fn new(blob: R, size: u64) -> Self {
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(256 << 10, blob));
        Self(Bounded::new(decoder, Limits::current().unpacked(size)))
    }

    /// The blob, of which some more may have been read than was unpacked.
    pub(crate) fn into_inner(self) -> R {
        self.0.into_inner().into_inner().into_inner()
    }
}

impl Unpacker<Hashed> {
    pub(crate) fn open(path: &Path) -> Result<Self, LayerError> {
        let failed = |source| LayerError::Read {
            path: path.to_owned(),
            source,
        };
        let file = fs_err::File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let hashed = Hashed {
            path: path.to_owned(),
            file,
            hasher: Hasher::new(io::sink()),
        };
        Ok(Self::new(hashed, size))
    }

    /// Reads the rest of the blob as it is and returns its digest and size.
    pub(crate) fn finish(self) -> Result<(LayerDigest, u64), LayerError> {
        let mut hashed = self.into_inner();
        let read = io::copy(&mut hashed, &mut io::sink());
        read.map_err(|source| LayerError::Read {
            path: hashed.path,
            source,
        })?;
        let (digest, size, _) = hashed.hasher.finish();
        Ok((LayerDigest(digest), size))
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

/// Makes layers of trees: tar, diffID, gzip and digest in one pass.
#[derive(Clone, Debug)]
pub struct LayerWriter {
    dir: PathBuf,
    times: Times,
    threads: usize,
}

impl LayerWriter {
    /// Names the bytes that trees become. What keeps layers keeps them by this, too: the same tree is another layer when
    /// the tar or the compression is another one.
    pub const FORMAT: &str = "tar 1, gzip 2";

    /// Blobs are put into `dir` under their digest's hex digits. Every member's time is the epoch. The bytes do not
    /// depend on the number of threads.
    pub fn new(dir: &Path, epoch: Epoch, threads: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            times: Times::Epoch(epoch),
            threads,
        }
    }

    /// Keeps the times of entries that have one: for a root file system from elsewhere.
    pub fn keep_times(mut self) -> Self {
        if let Times::Epoch(epoch) = self.times {
            self.times = Times::Own(epoch);
        }
        self
    }

    /// Writes the tree as a layer. The blob appears in the folder when it is complete and on the disk.
    pub fn write(&self, tree: &Tree) -> Result<Layer, LayerError> {
        let failed = |source| LayerError::Write {
            dir: self.dir.clone(),
            source,
        };
        fs_err::create_dir_all(&self.dir).map_err(failed)?;
        let temporary = tempfile::NamedTempFile::new_in(&self.dir).map_err(failed)?;
        let blob = Hasher::new(BufWriter::with_capacity(1 << 20, temporary));
        let gzip = GzipWriter::new(blob, self.threads).map_err(failed)?;
        let tar = write_tar(tree, self.times, Hasher::new(gzip))?;
        let (diff_id, _, gzip) = tar.finish();
        let (digest, size, blob) = gzip.finish().map_err(failed)?.finish();
        let temporary = blob.into_inner().map_err(|e| failed(e.into_error()))?;
        let path = self.dir.join(digest.hex());
        blob::commit(temporary, &path).map_err(failed)?;
        Ok(Layer {
            digest: LayerDigest(digest),
            diff_id: DiffId(diff_id),
            size,
            path,
        })
    }
}

#[cfg(test)]
mod tests;
