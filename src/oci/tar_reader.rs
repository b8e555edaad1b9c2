//! Reads tars from elsewhere, with one policy for all of them. Parsers of tar disagree about odd archives, and
//! attacks live in that difference: what two careful readers could understand differently is refused, not guessed.
//!
//! Absolute names are taken from the root. Refused: `..`, NUL, sparse files, sockets, links or directories with
//! data, a PAX size that contradicts the header, mixed long-name extensions, wrong checksums, truncation, data
//! after the end, and anything above [`Limits`]. Whiteouts are recognised.
//!
//! Only header fields are taken from the `tar` crate: its entry iterator cuts PAX records at line feeds and reads
//! extensions of any size into memory.

mod fault;
mod header;
mod pax;
mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::entry::{Content, Entry, Kind, Special};
use crate::limits::Limits;
use crate::path::ImagePath;
use crate::tree::Whiteout;
pub use fault::{TarError, TarFault};
use header::Header;
use pax::Pax;
pub use source::{Source, Stream};

const BLOCK: u64 = 512;

/// One member of a tar, in terms of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// The root directory itself.
    Root,
    /// Something at a path. Hard links are not resolved.
    Entry(ImagePath, Entry),
    /// A removal.
    Whiteout(Whiteout),
}

/// The members of a tar, in its order. Ends after the first error.
pub struct TarReader<S> {
    source: S,
    limits: Limits,
    archive: Arc<Path>,
    /// Where the next header starts.
    next: u64,
    /// Where the source stands.
    at: u64,
    /// Where the current member's content ends, before padding.
    content_end: u64,
    entries: u64,
    done: bool,
}

impl TarReader<source::Seekable> {
    /// Reads an uncompressed tar on this machine; content is skipped, not read.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, TarError> {
        let source = fs_err::File::open(path)
            .and_then(source::Seekable::new)
            .map_err(|source| TarError::Io {
                archive: path.to_owned(),
                source,
            })?;
        Ok(Self::new(source, path, limits))
    }
}

impl<S: Source> TarReader<S> {
    /// Reads from a source; `archive` names it in errors and in the content of files.
    pub fn new(source: S, archive: &Path, limits: Limits) -> Self {
        Self {
            source,
            limits,
            archive: archive.into(),
            next: 0,
            at: 0,
            content_end: 0,
            entries: 0,
            done: false,
        }
    }

    /// Reads from the start of the current member's content; nothing is left of it after the next member is asked
    /// for.
    pub fn read_content(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.content_end.saturating_sub(self.at);
        let limit = (buf.len() as u64).min(left) as usize;
        let n = self.source.read(&mut buf[..limit])?;
        self.at += n as u64;
        Ok(n)
    }

    /// The source, after the end was reached.
    pub fn into_source(self) -> S {
        self.source
    }

    fn io(&self, source: io::Error) -> TarError {
        TarError::Io {
            archive: PathBuf::from(&*self.archive),
            source,
        }
    }

    fn refused(&self, name: &[u8], fault: TarFault) -> TarError {
        TarError::Refused {
            archive: PathBuf::from(&*self.archive),
            member: self.entries,
            name: name[..name.len().min(200)].escape_ascii().to_string(),
            fault,
        }
    }

    /// Goes to the next header and reads its block; `None` at the end of the source.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        let gap = self.next - self.at;
        match self.source.skip(gap) {
            Ok(()) => self.at += gap,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.refused(b"", TarFault::Truncated));
            }
            Err(e) => return Err(self.io(e)),
        }
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.refused(b"", TarFault::Truncated)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io(e)),
            }
        }
        self.at += BLOCK;
        self.next += BLOCK;
        Ok(Some(block))
    }

    /// Claims the content of the member whose header was just read.
    fn claim(&mut self, name: &[u8], size: u64) -> Result<(), TarError> {
        let end = (self.next.checked_add(size))
            .filter(|end| *end <= self.limits.size)
            .ok_or_else(|| self.refused(name, TarFault::TooLarge(self.limits.size)))?;
        self.content_end = end;
        self.next = end.next_multiple_of(BLOCK);
        Ok(())
    }

    /// The bytes of an extension.
    fn extension(&mut self, budget: &mut u64, size: u64) -> Result<Vec<u8>, TarError> {
        *budget = budget
            .checked_sub(size)
            .ok_or_else(|| self.refused(b"", TarFault::TooMuchMetadata(self.limits.metadata)))?;
        self.claim(b"", size)?;
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_content(&mut bytes[filled..]) {
                Ok(0) => return Err(self.refused(b"", TarFault::Truncated)),
                Ok(n) => filled += n,
                Err(e) => return Err(self.io(e)),
            }
        }
        Ok(bytes)
    }

    /// After the last member only zeros may follow.
    fn check_end(&mut self) -> Result<(), TarError> {
        let mut buf = [0; 8192];
        loop {
            match self.source.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) if buf[..n].iter().any(|b| *b != 0) => {
                    return Err(self.refused(b"", TarFault::DataAfterEnd));
                }
                Ok(n) => {
                    self.at += n as u64;
                    if self.at > self.limits.size {
                        return Err(self.refused(b"", TarFault::TooLarge(self.limits.size)));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io(e)),
            }
        }
    }

    fn read_member(&mut self) -> Result<Option<Member>, TarError> {
        let mut pax: Option<Pax> = None;
        let (mut long_name, mut long_link) = (None, None);
        let mut budget = self.limits.metadata;
        self.entries += 1;
        loop {
            let extended = pax.is_some() || long_name.is_some() || long_link.is_some();
            let Some(block) = self.block()? else {
                return match extended {
                    true => Err(self.refused(b"", TarFault::Truncated)),
                    false => Ok(None),
                };
            };
            if block.iter().all(|b| *b == 0) {
                if extended {
                    return Err(self.refused(b"", TarFault::Truncated));
                }
                self.check_end()?;
                return Ok(None);
            }
            let header = Header::parse(&block).map_err(|fault| self.refused(b"", fault))?;
            match header.kind {
                b'x' => {
                    let bytes = self.extension(&mut budget, header.size)?;
                    let records =
                        Pax::parse(&bytes).map_err(|fault| self.refused(&header.name, fault))?;
                    if pax.replace(records).is_some() {
                        return Err(self.refused(b"", TarFault::MixedExtensions));
                    }
                }
                b'L' | b'K' => {
                    let mut bytes = self.extension(&mut budget, header.size)?;
                    while bytes.last() == Some(&0) {
                        bytes.pop();
                    }
                    let slot = if header.kind == b'L' {
                        &mut long_name
                    } else {
                        &mut long_link
                    };
                    if slot.replace(bytes).is_some() {
                        return Err(self.refused(b"", TarFault::MixedExtensions));
                    }
                }
                b'g' => {
                    // git writes one with the commit's hash; anything that changes members is refused.
                    let bytes = self.extension(&mut budget, header.size)?;
                    let records =
                        Pax::parse(&bytes).map_err(|fault| self.refused(&header.name, fault))?;
                    if !records.is_comment_only() {
                        return Err(self.refused(b"", TarFault::GlobalExtension));
                    }
                }
                _ => {
                    if pax.is_some() && (long_name.is_some() || long_link.is_some()) {
                        return Err(self.refused(b"", TarFault::MixedExtensions));
                    }
                    if self.entries > self.limits.entries {
                        return Err(
                            self.refused(b"", TarFault::TooManyEntries(self.limits.entries))
                        );
                    }
                    let mut header = header;
                    if let Some(name) = long_name {
                        header.name = name;
                    }
                    if let Some(link) = long_link {
                        header.link = link;
                    }
                    let name = header.name.clone();
                    let header = header
                        .with(pax.unwrap_or_default())
                        .map_err(|fault| self.refused(&name, fault))?;
                    let name = header.name.clone();
                    let (member, size) = self
                        .member(header)
                        .map_err(|fault| self.refused(&name, fault))?;
                    self.claim(&name, size)?;
                    return Ok(Some(member));
                }
            }
        }
    }

    /// What a header with its extensions means, and how much content follows.
    fn member(&self, header: Header) -> Result<(Member, u64), TarFault> {
        let Some(path) = ImagePath::rooted(&header.name).map_err(|e| TarFault::Name(e.fault()))?
        else {
            return match header.kind {
                b'5' if header.size == 0 => Ok((Member::Root, 0)),
                _ => Err(TarFault::RootNotDir),
            };
        };
        let slash = header.name.ends_with(b"/") || header.name.ends_with(b"/.");
        // Before POSIX a directory was a file whose name ends with a slash.
        let kind = match header.kind {
            0 if slash => b'5',
            0 | b'7' => b'0',
            kind => kind,
        };
        if slash && kind != b'5' {
            return Err(TarFault::SlashAfterFile);
        }
        if kind != b'0' && header.size != 0 {
            return Err(TarFault::DataWithoutFile);
        }
        if let Some(whiteout) = whiteout(&path)? {
            return match (kind, whiteout) {
                (b'0', Some(whiteout)) => Ok((Member::Whiteout(whiteout), header.size)),
                // AUFS bookkeeping has no meaning for anyone; its links and directories are skipped like its files.
                (_, None) => Ok((Member::Root, header.size)),
                _ => Err(TarFault::OddWhiteout),
            };
        }
        let kind = match kind {
            b'0' => Kind::File(Content::File {
                path: self.archive.clone(),
                offset: self.next,
                len: header.size,
            }),
            b'1' => Kind::Hardlink(
                ImagePath::rooted(&header.link)
                    .ok()
                    .flatten()
                    .ok_or(TarFault::HardlinkTarget)?,
            ),
            b'2' if header.link.is_empty() || header.link.contains(&0) => {
                return Err(TarFault::SymlinkTarget);
            }
            b'2' => Kind::Symlink(header.link.into()),
            b'3' if header.device == (0, 0) => return Err(TarFault::OverlayWhiteout),
            b'3' => Kind::Special(Special::CharDevice(header.device.0, header.device.1)),
            b'4' => Kind::Special(Special::BlockDevice(header.device.0, header.device.1)),
            b'5' => Kind::Dir,
            b'6' => Kind::Special(Special::Fifo),
            b'S' => return Err(TarFault::Sparse),
            kind => return Err(TarFault::Type(kind)),
        };
        let entry = Entry {
            kind,
            mode: header.mode & 0o7777,
            uid: header.uid,
            gid: header.gid,
            mtime: Some(header.mtime),
            xattrs: header.xattrs.into(),
        };
        Ok((Member::Entry(path, entry), header.size))
    }
}

/// Whether a path is a whiteout: `Some(None)` for AUFS bookkeeping, which is ignored.
fn whiteout(path: &ImagePath) -> Result<Option<Option<Whiteout>>, TarFault> {
    let mut components = path.components().rev();
    let Some(name) = components.next().and_then(|n| n.strip_prefix(b".wh.")) else {
        return match components.any(|part| part.starts_with(b".wh.")) {
            // Below `.wh..wh.plnk` and the like.
            true if path.components().any(|part| part.starts_with(b".wh..wh.")) => Ok(Some(None)),
            true => Err(TarFault::OddWhiteout),
            false => Ok(None),
        };
    };
    let dir = path.parent();
    Ok(Some(match name {
        b".wh..opq" => Some(dir.map_or(Whiteout::Everything, Whiteout::Inside)),
        _ if name.starts_with(b".wh.") => None,
        b"" | b"." | b".." => return Err(TarFault::OddWhiteout),
        _ => {
            let gone = match dir {
                Some(dir) => dir.join(name),
                None => ImagePath::new(name),
            };
            Some(Whiteout::Path(gone.map_err(|e| TarFault::Name(e.fault()))?))
        }
    }))
}

impl<S: Source> Iterator for TarReader<S> {
    type Item = Result<Member, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let member = self.read_member().transpose();
        self.done = !matches!(member, Some(Ok(_)));
        member
    }
}

#[cfg(test)]
mod tests;
