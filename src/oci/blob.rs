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

/// Writes a small file completely.
pub(crate) fn write(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(parent(to))?;
    io::Write::write_all(&mut file, bytes)?;
    commit(file, to)
}

/// Puts names that were made in a folder on the disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs_err::File::open(dir)?.sync_all()
}
