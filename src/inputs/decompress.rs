//! A compressed tar → the tar: for root file systems, whose owners and modes unpacking to a folder would lose.

use std::io::{self, BufReader, Read, Seek as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use fs_err as fs;
use liblzma::bufread::XzDecoder;

/// The largest root file system that is taken, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// Writes the tar inside `archive` (gzip, xz, or a plain tar) to a new file.
pub fn decompress(archive: &Path, tar: &Path) -> io::Result<()> {
    let mut file = fs::File::open(archive)?;
    let mut magic = Vec::new();
    file.by_ref().take(6).read_to_end(&mut magic)?;
    file.rewind()?;
    let buffered = BufReader::with_capacity(1 << 16, file);
    let reader: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(buffered)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(XzDecoder::new_multi_decoder(buffered)),
        _ => Box::new(buffered),
    };
    let mut out = fs::File::create(tar)?;
    let size = io::copy(&mut reader.take(MAX_BYTES + 1), &mut out)?;
    if size > MAX_BYTES {
        let message = format!(
            "{} unpacks to more than {MAX_BYTES} bytes",
            archive.display()
        );
        return Err(io::Error::other(message));
    }
    Ok(())
}
