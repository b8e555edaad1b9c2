//! Unpacking: comes in an archive of any of the usual kinds, goes out a fresh folder with its files. Kinds are told by
//! content. Archives are foreign bytes: nothing is written or linked outside of the folder, whatever they say.
//!
//! What is kept: names, bytes, the executable bit, modification times (make and autotools go by them), symbolic and
//! hard links inside. What is not: owners, other permission bits, extended attributes. What is refused: `..`, absolute
//! names, links that could lead outside, names below a link, devices, sparse files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::bufread::MultiGzDecoder;
use fs_err as fs;
use liblzma::bufread::XzDecoder;
use tar::EntryType;
use zip::ZipArchive;

const MAX_ENTRIES: usize = 1_000_000;
const MAX_BYTES: u64 = 16 << 30;

/// An archive that was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Reading it or writing its files.
    #[error("cannot unpack {}", archive.display())]
    Io {
        /// The archive.
        archive: PathBuf,
        /// Why; names the path if it is about another file.
        #[source]
        source: io::Error,
    },
    /// Neither tar (plain, gzip, xz) nor zip.
    #[error("{} is neither a tar (plain, gzip or xz) nor a zip archive", archive.display())]
    Kind {
        /// The archive.
        archive: PathBuf,
    },
    /// Something in it that has no place in a source archive or a wheel.
    #[error("{}: {entry:?} {reason}", archive.display())]
    Refused {
        /// The archive.
        archive: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The folder to take is not in it.
    #[error("{} has no folder {subdir:?}", archive.display())]
    NoSubdir {
        /// The archive.
        archive: PathBuf,
        /// The folder.
        subdir: String,
    },
}

/// Why an entry stops the unpacking, before the archive's name is known.
enum Stop {
    Io(io::Error),
    Refused(String, &'static str),
    NoSubdir(String),
    Kind,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<zip::result::ZipError> for Stop {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Io(error.into())
    }
}

/// Unpacks `archive` into `dest`, an empty folder. A single top folder is stripped; of `subdir`, given relative to it,
/// only what is inside is kept.
pub fn unpack(archive: &Path, subdir: Option<&str>, dest: &Path) -> Result<(), UnpackError> {
    let archive_path = || archive.to_owned();
    run(archive, subdir, dest).map_err(|stop| match stop {
        Stop::Io(source) => UnpackError::Io {
            archive: archive_path(),
            source,
        },
        Stop::Refused(entry, reason) => UnpackError::Refused {
            archive: archive_path(),
            entry,
            reason,
        },
        Stop::NoSubdir(subdir) => UnpackError::NoSubdir {
            archive: archive_path(),
            subdir,
        },
        Stop::Kind => UnpackError::Kind {
            archive: archive_path(),
        },
    })
}

fn run(archive: &Path, subdir: Option<&str>, dest: &Path) -> Result<(), Stop> {
    let mut file = fs::File::open(archive)?;
    let mut magic = Vec::new();
    file.by_ref().take(265).read_to_end(&mut magic)?;
    file.rewind()?;
    // Unpacked beside its final place: which folder becomes the root shows at the end only.
    let beside = dest.parent().unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(beside)?;
    let everything = work.path().join("everything");
    fs::create_dir(&everything)?;
    let mut sink = Sink::new(&everything);
    let buffered = BufReader::with_capacity(1 << 16, file);
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => sink.tar(MultiGzDecoder::new(buffered))?,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            sink.tar(XzDecoder::new_multi_decoder(buffered))?
        }
        [b'P', b'K', 3, 4, ..] => sink.zip(ZipArchive::new(buffered)?)?,
        plain if plain.get(257..262) == Some(b"ustar") => sink.tar(buffered)?,
        _ => return Err(Stop::Kind),
    }
    let root = sink.root(subdir)?;
    sink.check_links(&root)?;
    // Takes the place of the empty folder.
    Ok(fs::rename(everything.join(root), dest)?)
}

/// Writes entries below a folder that nobody else writes to.
struct Sink<'d> {
    base: &'d Path,
    entries: usize,
    bytes: u64,
    /// What is known to be a folder, and not a link to one.
    folders: BTreeSet<PathBuf>,
    /// Symbolic links and where they point; checked when the root is known, followed by nothing here.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl<'d> Sink<'d> {
    fn new(base: &'d Path) -> Self {
        Self {
            base,
            entries: 0,
            bytes: 0,
            folders: BTreeSet::from([PathBuf::new()]),
            links: BTreeMap::new(),
        }
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), Stop> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.into_owned();
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            if is_sparse(&mut entry)? {
                return Err(refused(&name, "is a sparse file"));
            }
            let Some(path) = self.place(&name)? else {
                continue;
            };
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let executable = entry.header().mode()? & 0o111 != 0;
                    let modified = entry.header().mtime()?;
                    let size = entry.size();
                    self.file(&path, &mut entry, size, executable, Some(modified))?;
                }
                EntryType::Directory => self.folder(&path)?,
                EntryType::Symlink => self.link(&path, &link_name(&entry, &name)?)?,
                EntryType::Link => self.hard_link(&path, &link_name(&entry, &name)?)?,
                _ => return Err(refused(&name, "is a device or another special file")),
            }
        }
        // A compressed stream is checked at its end.
        io::copy(&mut archive.into_inner().take(MAX_BYTES), &mut io::sink())?;
        Ok(())
    }

    fn zip(&mut self, mut archive: ZipArchive<impl Read + io::Seek>) -> Result<(), Stop> {
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = PathBuf::from(entry.name()?.as_ref());
            let Some(path) = self.place(&name)? else {
                continue;
            };
            let mode = entry.unix_mode().unwrap_or(0o644);
            match mode & 0o170_000 {
                _ if entry.is_dir() => self.folder(&path)?,
                0o120_000 => {
                    let mut target = String::new();
                    entry.by_ref().take(4096).read_to_string(&mut target)?;
                    self.link(&path, Path::new(&target))?;
                }
                0 | 0o100_000 => {
                    let size = entry.size();
                    self.file(&path, &mut entry, size, mode & 0o111 != 0, None)?;
                }
                _ => return Err(refused(&name, "is a device or another special file")),
            }
        }
        Ok(())
    }

    /// The entry's name below the base, its folders made; nothing for the base itself.
    fn place(&mut self, name: &Path) -> Result<Option<PathBuf>, Stop> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(refused(name, "is one entry too many"));
        }
        let path =
            relative(name).ok_or_else(|| refused(name, "could lie outside of the folder"))?;
        let Some(parent) = path.parent() else {
            return Ok(None);
        };
        for folder in parent.ancestors().collect::<Vec<_>>().into_iter().rev() {
            self.folder(folder)?;
        }
        Ok(Some(path))
    }

    fn folder(&mut self, path: &Path) -> Result<(), Stop> {
        if self.folders.contains(path) {
            return Ok(());
        }
        let target = self.base.join(path);
        match fs::symlink_metadata(&target) {
            Ok(_) => return Err(refused(path, "is a folder and something else too")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&target)?,
            Err(error) => return Err(error.into()),
        }
        self.folders.insert(path.to_owned());
        Ok(())
    }

    fn file(
        &mut self,
        path: &Path,
        reader: &mut dyn Read,
        size: u64,
        executable: bool,
        modified: Option<u64>,
    ) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(refused(path, "makes the content too big"));
        }
        self.make_way(path)?;
        let mut file = fs::File::create_new(self.base.join(path))?;
        // One byte more than announced, to notice it.
        let copied = io::copy(&mut reader.take(size.saturating_add(1)), &mut file)?;
        if copied != size {
            return Err(refused(path, "has another size than announced"));
        }
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode))?;
        if let Some(seconds) = modified {
            // The year 2106 is far enough; file systems refuse what is much later.
            let age = Duration::from_secs(seconds.min(u32::MAX.into()));
            file.set_modified(SystemTime::UNIX_EPOCH + age)?;
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), Stop> {
        self.make_way(path)?;
        fs_err::os::unix::fs::symlink(target, self.base.join(path))?;
        self.links.insert(path.to_owned(), target.to_owned());
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), Stop> {
        let outside = || refused(path, "is a hard link to something outside, or to no file");
        let target = relative(target).ok_or_else(outside)?;
        let parent = target.parent().ok_or_else(outside)?;
        let from = self.base.join(&target);
        let is_file = || fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file());
        if !self.folders.contains(parent) || !is_file() || target == path {
            return Err(outside());
        }
        self.make_way(path)?;
        Ok(fs::hard_link(from, self.base.join(path))?)
    }

    /// Removes an earlier entry of the same name; the last one counts.
    fn make_way(&mut self, path: &Path) -> Result<(), Stop> {
        if self.folders.contains(path) {
            return Err(refused(path, "is a folder and something else too"));
        }
        self.links.remove(path);
        match fs::remove_file(self.base.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The folder that becomes the root, relative to the base.
    fn root(&self, subdir: Option<&str>) -> Result<PathBuf, Stop> {
        let mut top = fs::read_dir(self.base)?.map(|entry| Ok(PathBuf::from(entry?.file_name())));
        let mut root = match (top.next().transpose().map_err(Stop::Io)?, top.next()) {
            (Some(only), None) if self.folders.contains(&only) && !is_dist_info(&only) => only,
            _ => PathBuf::new(),
        };
        if let Some(subdir) = subdir {
            let none = || Stop::NoSubdir(subdir.to_owned());
            root.push(relative(Path::new(subdir)).ok_or_else(none)?);
            // A trailing slash would come from an empty name.
            root = root.components().collect();
            if !self.folders.contains(&root) {
                return Err(none());
            }
        }
        Ok(root)
    }

    /// A link may climb first and descend then: so it stays inside even if it passes through other links.
    fn check_links(&self, root: &Path) -> Result<(), Stop> {
        for (path, target) in &self.links {
            let Ok(inside) = path.strip_prefix(root) else {
                continue;
            };
            let depth = inside.components().count() - 1;
            let mut parts = target
                .components()
                .filter(|part| *part != Component::CurDir)
                .peekable();
            let climbs = std::iter::from_fn(|| parts.next_if_eq(&Component::ParentDir)).count();
            if climbs > depth || parts.any(|part| !matches!(part, Component::Normal(_))) {
                return Err(refused(
                    path,
                    "is a link that could lead outside of the folder",
                ));
            }
        }
        Ok(())
    }
}

fn refused(name: &Path, reason: &'static str) -> Stop {
    Stop::Refused(name.to_string_lossy().chars().take(200).collect(), reason)
}

/// The name without `.`; nothing if it is absolute or climbs.
fn relative(name: &Path) -> Option<PathBuf> {
    name.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| matches!(part, Component::Normal(_)).then_some(part))
        .collect()
}

fn link_name(entry: &tar::Entry<impl Read>, name: &Path) -> Result<PathBuf, Stop> {
    let target = entry
        .link_name()?
        .ok_or_else(|| refused(name, "is a link without a target"))?;
    Ok(target.into_owned())
}

/// Old GNU archives have a type for it, newer ones hide it in extended headers.
fn is_sparse(entry: &mut tar::Entry<impl Read>) -> io::Result<bool> {
    if entry.header().entry_type() == EntryType::GNUSparse {
        return Ok(true);
    }
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(false);
    };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A wheel may hold nothing else; its layout is not to be changed.
fn is_dist_info(top: &Path) -> bool {
    top.extension()
        .is_some_and(|extension| extension == "dist-info")
}

#[cfg(test)]
mod tests;
