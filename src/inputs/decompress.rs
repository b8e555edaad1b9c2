//! A compressed tar → the tar, within the process's limits.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use fs_err as fs;
use liblzma::bufread::XzDecoder;
use oci::{Bounded, Limits};

/// Writes the tar inside `archive` (gzip, xz, or a plain tar) to a new file.
pub fn decompress(archive: &Path, tar: &Path) -> io::Result<()> {
    let file = fs::File::open(archive)?;
    let size = file.metadata()?.len();
    decompress_part(file, size, tar)
}

/// The same with a part of a file that has so many bytes.
pub(super) fn decompress_part(part: impl Read, size: u64, tar: &Path) -> io::Result<()> {
    let mut part = BufReader::with_capacity(1 << 16, part);
    let reader: Box<dyn Read + '_> = match part.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(part)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(XzDecoder::new_multi_decoder(part)),
        _ => Box::new(part),
    };
    let mut out = fs::File::create(tar)?;
    io::copy(
        &mut Bounded::new(reader, Limits::current().unpacked(size)),
        &mut out,
    )?;
    Ok(())
}
