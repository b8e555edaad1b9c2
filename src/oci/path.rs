//! Paths inside an image: relative to its root, bytes as in a tar, checked once. Never touches a file system.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// Longest path in bytes, as PATH_MAX.
const MAX_PATH: usize = 4096;
/// Longest component in bytes, as NAME_MAX.
const MAX_NAME: usize = 255;

/// A normalised path below an image's root: no leading or trailing slash, no empty, `.` or `..` component, no NUL.
/// The root itself has no `ImagePath`.
///
/// Ordered by components, so a directory comes directly before what is inside it:
///
/// ```
/// # use oci::ImagePath;
/// let mut paths: Vec<ImagePath> = ["a-b", "a/b", "a"].map(|p| p.parse().unwrap()).into();
/// paths.sort();
/// assert_eq!(paths.iter().map(|p| p.to_string()).collect::<Vec<_>>(), ["a", "a/b", "a-b"]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImagePath(Box<[u8]>);

/// A text that is not a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not a path inside an image: {reason}")]
pub struct InvalidPath {
    path: String,
    reason: PathFault,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing there, or the root itself.
    #[error("it is empty")]
    Empty,
    /// A leading slash.
    #[error("it must be relative to the image's root")]
    Absolute,
    /// `a//b`, `a/` or a `.` component.
    #[error("it has an empty or \".\" component")]
    NotNormal,
    /// A `..` component.
    #[error("it has a \"..\" component")]
    Parent,
    /// A NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// Longer than Linux takes.
    #[error("it is longer than 4096 bytes, or a component is longer than 255")]
    TooLong,
}

impl InvalidPath {
    /// Which rule the path breaks.
    pub fn fault(&self) -> PathFault {
        self.reason
    }
}

impl ImagePath {
    /// Checks bytes that must already be in normal form.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidPath> {
        let bytes = bytes.as_ref();
        match fault(bytes) {
            None => Ok(Self(bytes.into())),
            Some(reason) => Err(invalid(bytes, reason)),
        }
    }

    /// A name as foreign archives write it: absolute names are taken from the image's root, `.` and empty
    /// components are dropped. `None` is the root. `..` and NUL are errors wherever they stand.
    pub fn rooted(bytes: impl AsRef<[u8]>) -> Result<Option<Self>, InvalidPath> {
        let bytes = bytes.as_ref();
        let parts: Vec<&[u8]> = bytes
            .split(|b| *b == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .collect();
        if parts.is_empty() {
            return Ok(None);
        }
        Self::new(parts.join(&b'/')).map(Some)
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative path of this machine.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// This path with `/` in front, lossy: how a config or a user names it.
    pub fn absolute(&self) -> String {
        format!("/{self}")
    }

    /// A path below this one. `below` has the same rules as a path.
    pub fn join(&self, below: impl AsRef<[u8]>) -> Result<Self, InvalidPath> {
        Self::new([&self.0, below.as_ref()].join(&b'/'))
    }

    /// This path below another.
    pub fn below(&self, parent: &ImagePath) -> Result<Self, InvalidPath> {
        parent.join(&self.0)
    }

    /// The directory it is in; `None` when that is the root.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..slash].into()))
    }

    /// The last component.
    pub fn file_name(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .rposition(|b| *b == b'/')
            .map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// Whether it is `other` or inside it.
    pub fn starts_with(&self, other: &ImagePath) -> bool {
        self.0
            .strip_prefix(&*other.0)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

fn invalid(bytes: &[u8], reason: PathFault) -> InvalidPath {
    InvalidPath {
        path: String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned(),
        reason,
    }
}

fn fault(bytes: &[u8]) -> Option<PathFault> {
    if bytes.is_empty() {
        return Some(PathFault::Empty);
    }
    if bytes.contains(&0) {
        return Some(PathFault::Nul);
    }
    let parts = || bytes.split(|b| *b == b'/');
    if parts().any(|part| part == b"..") {
        return Some(PathFault::Parent);
    }
    if bytes[0] == b'/' {
        return Some(PathFault::Absolute);
    }
    if parts().any(|part| part.is_empty() || part == b".") {
        return Some(PathFault::NotNormal);
    }
    if bytes.len() > MAX_PATH || parts().any(|part| part.len() > MAX_NAME) {
        return Some(PathFault::TooLong);
    }
    None
}

impl FromStr for ImagePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text)
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // A slash ranks below every other byte (there is no NUL), which makes this the order of the components.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        self.0.iter().map(rank).cmp(other.0.iter().map(rank))
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Lossy, without a leading slash.
impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_normal_form_is_a_path() {
        let long_name = "n".repeat(256);
        let long_path = vec!["n".repeat(200); 21].join("/");
        for (text, expected) in [
            ("", PathFault::Empty),
            ("/", PathFault::Absolute),
            ("/etc", PathFault::Absolute),
            ("etc/", PathFault::NotNormal),
            ("a//b", PathFault::NotNormal),
            ("./a", PathFault::NotNormal),
            ("a/.", PathFault::NotNormal),
            ("..", PathFault::Parent),
            ("a/../b", PathFault::Parent),
            ("/..", PathFault::Parent),
            ("a\0b", PathFault::Nul),
            (&long_name, PathFault::TooLong),
            (&long_path, PathFault::TooLong),
        ] {
            let error = text.parse::<ImagePath>().expect_err(text);
            assert_eq!(error.fault(), expected, "{text}");
        }
        for text in ["a", "...", "..a", "a..", "a/b c/ü", "\\", "C:"] {
            assert_eq!(text.parse::<ImagePath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn foreign_names_are_taken_from_the_root() {
        for (name, expected) in [
            ("./", None),
            ("/", None),
            (".", None),
            ("", None),
            ("/etc/passwd", Some("etc/passwd")),
            ("./a//b/./c/", Some("a/b/c")),
        ] {
            let path = ImagePath::rooted(name).unwrap();
            assert_eq!(path.map(|p| p.to_string()).as_deref(), expected, "{name}");
        }
        for name in ["../x", "a/../../b", "/..", "a/..", "a\0"] {
            assert!(ImagePath::rooted(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_directory_comes_directly_before_its_content() {
        let sorted = ["a", "a/b", "a/b/c", "a/c", "a!", "a-b", "a.d", "ab", "b"];
        let mut paths: Vec<ImagePath> = sorted.iter().rev().map(|p| p.parse().unwrap()).collect();
        paths.sort();
        assert_eq!(
            paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
            sorted
        );
    }

    #[test]
    fn parts_of_a_path() {
        let path: ImagePath = "var/lang/bin".parse().unwrap();
        assert_eq!(path.parent().unwrap().to_string(), "var/lang");
        assert_eq!(path.file_name(), b"bin");
        assert_eq!(path.join("x/y").unwrap().to_string(), "var/lang/bin/x/y");
        assert!(path.join("../y").is_err());
        assert!(path.starts_with(&"var/lang".parse().unwrap()));
        assert!(path.starts_with(&path));
        assert!(!path.starts_with(&"var/la".parse().unwrap()));
        assert_eq!("var".parse::<ImagePath>().unwrap().parent(), None);
        assert_eq!("var".parse::<ImagePath>().unwrap().file_name(), b"var");
    }
}
