//! A Debian package → its trees: the files that it installs, and what it tells dpkg. The tars inside are read by the reader
//! that reads layers; nothing is written but them.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::tree::TreeError;
use oci::{Bomb, Tree};

use super::decompress::decompress_part;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// A package's two trees; their content lies in the folder that [`read_deb`] was given.
pub struct Deb {
    /// `control`, `md5sums`, scripts.
    pub control: Tree,
    /// What is installed, from the root.
    pub data: Tree,
}

/// A package that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The file, or a tar in it, cannot be read or written.
    #[error("cannot read the package {}", package.display())]
    Io {
        /// The package.
        package: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No package of Debian's.
    #[error("{} is no Debian package: {what}", package.display())]
    Malformed {
        /// The package.
        package: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A tar in it is refused.
    #[error("cannot read the package {}", package.display())]
    Tree {
        /// The package.
        package: PathBuf,
        /// Why.
        source: TreeError,
    },
}

impl DebError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => Bomb::of(source).map(|_| Bomb::HINT),
            Self::Malformed { .. } => None,
            Self::Tree { source, .. } => source.hint(),
        }
    }
}

/// Reads a package. Its tars are put into `scratch`, under names that begin with `prefix`, and must stay there while the
/// trees are used.
pub fn read_deb(package: &Path, scratch: &Path, prefix: &str) -> Result<Deb, DebError> {
    let tree = |part: &str| {
        let tar = scratch.join(format!("{prefix}.{part}.tar"));
        let found = member(package, &format!("{part}.tar"), &tar);
        let found = found.map_err(|source| DebError::Io {
            package: package.to_owned(),
            source,
        })?;
        found.map_err(|what| DebError::Malformed {
            package: package.to_owned(),
            what,
        })?;
        Tree::from_tar(&tar).map_err(|source| DebError::Tree {
            package: package.to_owned(),
            source,
        })
    };
    Ok(Deb {
        control: tree("control")?,
        data: tree("data")?,
    })
}

/// Decompresses the member whose name begins with `name`; the inner error is what is wrong with the archive.
fn member(package: &Path, name: &str, tar: &Path) -> io::Result<Result<(), &'static str>> {
    let mut file = fs::File::open(package)?;
    let mut magic = [0; MAGIC.len()];
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Ok(Err("it is no archive"));
    }
    let mut header = [0; HEADER];
    while let Ok(()) = file.read_exact(&mut header) {
        let text = |range| {
            str::from_utf8(&header[range])
                .unwrap_or_default()
                .trim_end()
        };
        let Some(size) = text(48..58)
            .parse::<u32>()
            .ok()
            .filter(|_| text(58..60) == "`")
        else {
            return Ok(Err("a header in it is damaged"));
        };
        let found = text(0..16).trim_end_matches('/');
        if let Some(kind) = found.strip_prefix(name) {
            if !matches!(kind, "" | ".gz" | ".xz") {
                return Ok(Err("it is compressed with something else than gzip or xz"));
            }
            decompress_part(file.take(size.into()), size.into(), tar)?;
            return Ok(Ok(()));
        }
        file.seek(SeekFrom::Current(
            (u64::from(size).next_multiple_of(2)) as i64,
        ))?;
    }
    Ok(Err("a part of it is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::ImagePath;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            bytes.extend(format!("{name:<16}{:<32}{:<10}`\n", 0, content.len()).bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Deb, String> {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("p.deb");
        fs::write(&package, bytes).unwrap();
        read_deb(&package, dir.path(), "p").map_err(|error| error.to_string())
    }

    #[test]
    fn both_tars_are_found() {
        let mut tree = Tree::new();
        let path: ImagePath = "control".parse().unwrap();
        tree.insert(path.clone(), oci::Entry::file("Package: a\n", 0o644))
            .unwrap();
        let times = oci::tar_writer::Times::Epoch(oci::Epoch::default());
        let tar = oci::tar_writer::write_tar(&tree, times, Vec::new()).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut &*tar, &mut gz).unwrap();
        let gz = gz.finish().unwrap();
        for (control, data) in [
            ("control.tar", "data.tar.gz"),
            ("control.tar/", "data.tar.gz/"),
        ] {
            let members = [("debian-binary", &b"2.0"[..]), (control, &tar), (data, &gz)];
            let deb = read(&ar(&members)).unwrap();
            assert!(deb.control.get(&path).is_some() && deb.data.get(&path).is_some());
        }
        let other = ar(&[("control.tar.zst", b"x")]);
        let missing = ar(&[("control.tar", &tar)]);
        let cut = &missing[..70];
        for bad in [
            &b"x"[..],
            b"!<arch>\nx",
            &other,
            &missing,
            cut,
            &[&MAGIC[..], &[b' '; 60]].concat(),
        ] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
