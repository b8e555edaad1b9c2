//! The one way a tree becomes a tar. Same tree, same bytes: sorted, every directory before what is inside it, numeric
//! owners, no names of users, ustar where it fits and otherwise exactly one PAX header in front of the member.

use std::io::{self, Read, Write};
use std::ops::Range;

use crate::entry::{Content, Entry, Kind};
use crate::epoch::Epoch;
use crate::path::ImagePath;
use crate::tree::{Tree, TreeError, Whiteout};

const BLOCK: usize = 512;
const COPY: usize = 256 << 10;
/// Largest numbers in the octal digits of a header.
const MAX_ID: u64 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

/// The time that members get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The epoch, for every member.
    Epoch(Epoch),
    /// The entry's own time where it has one, up to the year 2242, where headers end, and otherwise the epoch.
    Own(Epoch),
}

/// A tree that cannot be written as a layer.
#[derive(Debug, thiserror::Error)]
pub enum TarWriteError {
    /// A hard link, device node or pipe.
    #[error("{path} is {found}: layers made here hold files, directories and symbolic links only")]
    Kind {
        /// Where.
        path: ImagePath,
        /// What.
        found: &'static str,
    },
    /// A file that other tools would take for a removal.
    #[error("{0}: a name that starts with .wh. means a removal in a layer")]
    WhiteoutName(ImagePath),
    /// Content that changed since the tree was made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Content that cannot be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// In the tree.
        path: ImagePath,
        /// Why.
        source: io::Error,
    },
    /// The tar cannot be written.
    #[error("cannot write the tar")]
    Write(#[source] io::Error),
}

impl TarWriteError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Kind { .. } => Some(
                "Lambda refuses it too; make hard links files of their own, leave out the rest",
            ),
            Self::WhiteoutName(_) => Some("rename the file"),
            _ => None,
        }
    }
}

/// Writes the whole tar with its two closing blocks.
pub fn write_tar<W: Write>(tree: &Tree, times: Times, out: W) -> Result<W, TarWriteError> {
    let mut writer = TarWriter {
        out,
        times,
        buffer: vec![0; COPY],
    };
    let mut whiteouts: Vec<(ImagePath, Entry)> = tree
        .whiteouts()
        .map(whiteout_file)
        .collect::<Result<_, _>>()?;
    whiteouts.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut whiteouts = whiteouts.iter().peekable();
    for (path, entry) in tree.iter() {
        if path.file_name().starts_with(b".wh.") {
            return Err(TarWriteError::WhiteoutName(path.clone()));
        }
        while let Some((path, entry)) = whiteouts.next_if(|(whiteout, _)| whiteout < path) {
            writer.member(path, entry)?;
        }
        writer.member(path, entry)?;
    }
    for (path, entry) in whiteouts {
        writer.member(path, entry)?;
    }
    writer.put(&[0; 2 * BLOCK])?;
    Ok(writer.out)
}

fn whiteout_file(whiteout: &Whiteout) -> Result<(ImagePath, Entry), TarWriteError> {
    let (dir, name) = match whiteout {
        Whiteout::Path(path) => (path.parent(), [b".wh.", path.file_name()].concat()),
        Whiteout::Inside(dir) => (Some(dir.clone()), b".wh..wh..opq".into()),
        Whiteout::Everything => (None, b".wh..wh..opq".into()),
    };
    let path = match dir {
        Some(dir) => dir.join(name),
        None => ImagePath::new(name),
    };
    let path = path.map_err(TreeError::from)?;
    Ok((path, Entry::file("", 0o644)))
}

struct TarWriter<W> {
    out: W,
    times: Times,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), TarWriteError> {
        self.out.write_all(bytes).map_err(TarWriteError::Write)
    }

    fn member(&mut self, path: &ImagePath, entry: &Entry) -> Result<(), TarWriteError> {
        let header = header(path, entry, self.times)?;
        if !header.pax.is_empty() {
            self.pax(&header.pax)?;
        }
        self.put(&header.block)?;
        match &entry.kind {
            Kind::File(content) => self.content(path, content),
            _ => Ok(()),
        }
    }

    /// The PAX header member: itself without any trace of the file it describes.
    fn pax(&mut self, records: &[u8]) -> Result<(), TarWriteError> {
        let mut block = Block::new(b'x', 0o644);
        block.text(NAME, b"PaxHeader");
        block.octal(SIZE, records.len() as u64);
        self.put(&block.finish())?;
        self.put(records)?;
        self.pad(records.len() as u64)
    }

    fn pad(&mut self, len: u64) -> Result<(), TarWriteError> {
        let over = (len % BLOCK as u64) as usize;
        match over {
            0 => Ok(()),
            _ => self.put(&[0; BLOCK][over..]),
        }
    }

    fn content(&mut self, path: &ImagePath, content: &Content) -> Result<(), TarWriteError> {
        let failed = |source| TarWriteError::Content {
            path: path.clone(),
            source,
        };
        let mut reader = content.open().map_err(failed)?;
        let mut left = content.len();
        while left > 0 {
            let limit = self.buffer.len().min(left.try_into().unwrap_or(usize::MAX));
            let n = match reader.read(&mut self.buffer[..limit]) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(e)),
            };
            if n == 0 {
                return Err(TarWriteError::Tree(TreeError::Changed {
                    path: path.clone(),
                    expected: content.len(),
                    got: content.len() - left,
                }));
            }
            self.out
                .write_all(&self.buffer[..n])
                .map_err(TarWriteError::Write)?;
            left -= n as u64;
        }
        self.pad(content.len())
    }
}

struct Written {
    block: [u8; BLOCK],
    /// Records that do not fit into the block.
    pax: Vec<u8>,
}

fn header(path: &ImagePath, entry: &Entry, times: Times) -> Result<Written, TarWriteError> {
    let mut name = path.as_bytes().to_vec();
    let (kind, size, link): (u8, u64, &[u8]) = match &entry.kind {
        Kind::File(content) => (b'0', content.len(), b""),
        Kind::Dir => {
            name.push(b'/');
            (b'5', 0, b"")
        }
        Kind::Symlink(target) => (b'2', 0, target),
        Kind::Hardlink(_) | Kind::Special(_) => {
            return Err(TarWriteError::Kind {
                path: path.clone(),
                found: entry.kind.name(),
            });
        }
    };
    let mode = match entry.kind {
        Kind::Symlink(_) => 0o777,
        _ => entry.mode & 0o7777,
    };
    let mut block = Block::new(kind, mode);
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    match split_name(&name) {
        Some((prefix, rest)) => {
            block.text(PREFIX, prefix);
            block.text(NAME, rest);
        }
        None => {
            block.text(NAME, b"PaxName");
            records.push((b"path".into(), name));
        }
    }
    if link.len() <= LINK.len() {
        block.text(LINK, link);
    } else {
        block.text(LINK, b"PaxLink");
        records.push((b"linkpath".into(), link.to_vec()));
    }
    for (field, key, value, max) in [
        (SIZE, "size", size, MAX_SIZE),
        (UID, "uid", entry.uid.into(), MAX_ID),
        (GID, "gid", entry.gid.into(), MAX_ID),
        (MTIME, "mtime", mtime(entry, times), MAX_SIZE),
    ] {
        if value <= max {
            block.octal(field, value);
        } else {
            records.push((key.into(), value.to_string().into_bytes()));
        }
    }
    for (name, value) in entry.xattrs.iter() {
        records.push((format!("SCHILY.xattr.{name}").into_bytes(), value.clone()));
    }
    records.sort();
    let pax = records
        .iter()
        .flat_map(|(key, value)| record(key, value))
        .collect();
    Ok(Written {
        block: block.finish(),
        pax,
    })
}

fn mtime(entry: &Entry, times: Times) -> u64 {
    match times {
        Times::Epoch(epoch) => epoch.seconds(),
        Times::Own(epoch) => match entry.mtime {
            Some(time) => time.max(0).cast_unsigned().min(MAX_SIZE),
            None => epoch.seconds(),
        },
    }
}

/// A ustar header block, every number 0 until it is set, users without names.
struct Block([u8; BLOCK]);

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: Range<usize> = 156..157;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const DEVICE_MAJOR: Range<usize> = 329..337;
const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

impl Block {
    fn new(kind: u8, mode: u32) -> Self {
        let mut block = Self([0; BLOCK]);
        block.text(MAGIC, b"ustar\x0000");
        block.text(TYPE, &[kind]);
        for field in [UID, GID, SIZE, MTIME, DEVICE_MAJOR, DEVICE_MINOR] {
            block.octal(field, 0);
        }
        block.octal(MODE, mode.into());
        block
    }

    fn text(&mut self, field: Range<usize>, text: &[u8]) {
        self.0[field][..text.len()].copy_from_slice(text);
    }

    /// Zero-padded digits and a NUL.
    fn octal(&mut self, field: Range<usize>, value: u64) {
        let width = field.len() - 1;
        self.text(field, format!("{value:0width$o}\0").as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.text(CHECKSUM, b"        ");
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        self.text(CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// The prefix and name fields of ustar: the shortest prefix that leaves at most 100 bytes.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let from = name.len() - 101;
    let slash = from + name[from..name.len() - 1].iter().position(|b| *b == b'/')?;
    (1..=155)
        .contains(&slash)
        .then(|| (&name[..slash], &name[slash + 1..]))
}

/// A PAX record: its length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests;
