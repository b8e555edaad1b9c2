//! What stands at a path of an image: kind, permissions, owner. File content is a reference to bytes, never the bytes
//! of an unknown amount.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use crate::ImagePath;

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File, directory, link, …
    pub kind: Kind,
    /// Permission bits, 0o7777 at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970 as read from a foreign layer; `None` for what is made here.
    pub mtime: Option<i64>,
    /// Extended attributes by full name, such as `security.capability`.
    pub xattrs: Xattrs,
}

/// Extended attributes: a map that takes no more than a pointer where there are none, as with nearly every entry.
#[derive(Clone, Default)]
#[expect(
    clippy::box_collection,
    reason = "a pointer is a third of an empty map"
)]
pub struct Xattrs(Option<Box<BTreeMap<String, Vec<u8>>>>);

static NO_XATTRS: BTreeMap<String, Vec<u8>> = BTreeMap::new();

impl Deref for Xattrs {
    type Target = BTreeMap<String, Vec<u8>>;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().unwrap_or(&NO_XATTRS)
    }
}

impl DerefMut for Xattrs {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.get_or_insert_default()
    }
}

impl From<BTreeMap<String, Vec<u8>>> for Xattrs {
    fn from(map: BTreeMap<String, Vec<u8>>) -> Self {
        Self((!map.is_empty()).then(|| Box::new(map)))
    }
}

impl PartialEq for Xattrs {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Xattrs {}

impl fmt::Debug for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Dir,
    /// A symbolic link and its text. It may be absolute or point nowhere.
    Symlink(Box<[u8]>),
    /// Another name of a file. Read from foreign layers only, never written.
    Hardlink(ImagePath),
    /// A device node or named pipe. Read from foreign layers only, never written.
    Special(Special),
}

/// Nodes that are not data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// The bytes of a file: small ones in memory, all others where they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In memory: generated files.
    Bytes(Arc<[u8]>),
    /// A part of a file on this machine: a whole file, or a member of an uncompressed tar.
    File {
        /// The file on this machine.
        path: Arc<Path>,
        /// Where the content starts in it.
        offset: u64,
        /// The content's length.
        len: u64,
    },
}

impl Entry {
    /// A file of root's, with a mode.
    pub fn file(content: impl Into<Content>, mode: u32) -> Self {
        Self::new(Kind::File(content.into()), mode)
    }

    /// A directory of root's, with a mode.
    pub fn dir(mode: u32) -> Self {
        Self::new(Kind::Dir, mode)
    }

    /// A symbolic link.
    pub fn symlink(target: impl AsRef<[u8]>) -> Self {
        Self::new(Kind::Symlink(target.as_ref().into()), 0o777)
    }

    fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: None,
            xattrs: Xattrs::default(),
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }

    /// A file's length, 0 for everything else.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.len(),
            _ => 0,
        }
    }
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader of exactly [`len`](Self::len) bytes. A file that became shorter ends early: callers compare.
    pub fn open(&self) -> io::Result<ContentReader<'_>> {
        match self {
            Self::Bytes(bytes) => Ok(ContentReader::Bytes(bytes)),
            Self::File { path, offset, len } => {
                let mut file = fs_err::File::open(&**path)?;
                if *offset > 0 {
                    file.seek(SeekFrom::Start(*offset))?;
                }
                Ok(ContentReader::File(file.into_file().take(*len)))
            }
        }
    }

    /// All bytes; an error above `limit` or when the file became shorter.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len() > limit {
            let reason = format!("{} bytes, more than {limit}", self.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let mut bytes = Vec::with_capacity(self.len() as usize);
        self.open()?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// Reads a [`Content`].
pub enum ContentReader<'a> {
    /// From memory.
    Bytes(&'a [u8]),
    /// From a file.
    File(io::Take<std::fs::File>),
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buf),
            Self::File(file) => file.read(buf),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes().into())
    }
}
