//! Putting files in their place so that they are there completely or not at all, also after a power cut.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// The folder a file is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Gives a complete file its name, replacing what had it. The file and its name are on the disk afterwards.
pub(crate) fn commit(file: NamedTempFile, to: &Path) -> io::Result<()> {
    fs_err::set_permissions(file.path(), PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(to).map_err(|e| e.error)?;
    sync_dir(parent(to))
}

/// An unfinished file beside its place.
pub(crate) fn temporary(to: &Path) -> io::Result<NamedTempFile> {
    let prefix = prefix(to);
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(parent(to))
}

/// What the names of unfinished things begin with that are to be `to`.
pub(crate) fn prefix(to: &Path) -> String {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}{UNFINISHED}")
}

const UNFINISHED: &str = ".partial-";

/// Removes what writers left that were killed: all of it in a folder, or what was to be one name. The folder is locked:
/// a living writer would hold the lock.
pub(crate) fn clear(dir: &Path, to: Option<&Path>) -> io::Result<()> {
    let wanted = to.map(prefix);
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let dead = match &wanted {
            Some(prefix) => name.starts_with(prefix),
            None => name.starts_with('.') && name.contains(UNFINISHED),
        };
        match dead {
            true if entry.file_type()?.is_dir() => fs_err::remove_dir_all(entry.path())?,
            true => fs_err::remove_file(entry.path())?,
            false => {}
        }
    }
    Ok(())
}

/// Writes a small file completely.
pub fn write(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(to)?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, to)
}

/// Puts names that were made in a folder on the disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs_err::File::open(dir)?.sync_all()
}
