//! Why a tar is refused.

use std::io;
use std::path::PathBuf;

use crate::path::PathFault;

/// A tar that cannot be read or is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The file or stream failed.
    #[error("cannot read the tar {archive}")]
    Io {
        /// Which tar.
        archive: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The policy says no.
    #[error("{archive}: member {member} {name:?}: {fault}")]
    Refused {
        /// Which tar.
        archive: PathBuf,
        /// Number of the member, from 1.
        member: u64,
        /// Its name, escaped.
        name: String,
        /// The rule it breaks.
        fault: TarFault,
    },
}

impl TarError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { fault, .. } => fault.hint(),
            Self::Io { .. } => None,
        }
    }
}

/// The rule that a member breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// `..`, NUL or too long.
    #[error("its name cannot be used: {0}")]
    Name(PathFault),
    /// The sum over the header is another one.
    #[error("wrong header checksum")]
    Checksum,
    /// Bytes where only a POSIX header has a part of the name.
    #[error("a part of its name, or of its times, that readers understand differently")]
    Prefix,
    /// A field that holds no number, or one out of range.
    #[error("the field {0} is not a number in range")]
    Number(&'static str),
    /// The tar ends too early.
    #[error("the tar ends in the middle")]
    Truncated,
    /// Something follows the end-of-archive blocks.
    #[error("data follows after the end of the tar")]
    DataAfterEnd,
    /// More bytes than allowed.
    #[error("the tar is larger than {0} bytes")]
    TooLarge(u64),
    /// More members than allowed.
    #[error("the tar has more than {0} members")]
    TooManyEntries(u64),
    /// Names and attributes larger than allowed.
    #[error("names and attributes of a member are larger than {0} bytes")]
    TooMuchMetadata(u64),
    /// PAX with GNU long names, or one of them twice.
    #[error("several extension headers of one kind, or PAX mixed with GNU long names")]
    MixedExtensions,
    /// A PAX `g` header with more than comments.
    #[error("a global PAX header that changes members")]
    GlobalExtension,
    /// A PAX record whose length, key or value is wrong.
    #[error("malformed PAX record")]
    Pax,
    /// The same PAX key twice.
    #[error("the PAX key {0:?} stands there twice")]
    PaxTwice(String),
    /// PAX says another size than the header, which could hold it.
    #[error("PAX says {pax} bytes, the header {header}")]
    PaxSize {
        /// In PAX.
        pax: u64,
        /// In the header.
        header: u64,
    },
    /// `trusted.*`, which could fake what an overlay removed, or a malformed attribute.
    #[error("the extended attribute {0:?} is not accepted")]
    Xattr(String),
    /// Old GNU or PAX sparse files.
    #[error("sparse file")]
    Sparse,
    /// A character device 0:0.
    #[error("character device 0:0, an overlay whiteout")]
    OverlayWhiteout,
    /// A type that no layer holds: sockets and vendor extensions.
    #[error("member type {:?} is not accepted", char::from(*.0))]
    Type(u8),
    /// `.wh.` without a name, or not a file, or as a directory.
    #[error("malformed whiteout")]
    OddWhiteout,
    /// A file whose name ends with a slash.
    #[error("a trailing slash, but not a directory")]
    SlashAfterFile,
    /// The name means the root, the type is no directory.
    #[error("the root is not a directory")]
    RootNotDir,
    /// A link or directory with a size.
    #[error("only a file can have content")]
    DataWithoutFile,
    /// A hard link out of the root, or to it.
    #[error("the hard link's target is not inside the root")]
    HardlinkTarget,
    /// Empty, or with NUL.
    #[error("the symbolic link has no usable target")]
    SymlinkTarget,
}

impl TarFault {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Sparse => Some("make the tar again without --sparse"),
            Self::Prefix => Some("make the tar again with --format=pax"),
            Self::OverlayWhiteout => {
                Some("this is a copy of an overlay's upper folder; export the image instead")
            }
            Self::Truncated | Self::Checksum => Some("the file is damaged; fetch it again"),
            Self::TooLarge(_) | Self::TooManyEntries(_) => {
                Some("if you trust it, raise the limits: --max-unpacked, --max-entries")
            }
            _ => None,
        }
    }
}
