//! A merged tree as a folder of this machine, without root: for running what is inside in a sandbox.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::{OpenOptionsExt, symlink};

use super::{Tree, TreeError};
use crate::ImagePath;
use crate::entry::{Content, Entry, Kind};

impl Tree {
    /// Writes the tree below `dir`, which must be empty or missing. Returns what was left out: device nodes and
    /// pipes, which only root could make.
    ///
    /// Everything belongs to the caller. Modes are kept, except that directories are writable for their owner and
    /// set-uid and set-gid bits are dropped (they would lend out the caller's identity). Files keep the times that the
    /// tree has for them; owners and extended attributes are not written.
    ///
    /// Nothing is written outside of `dir`: a parent is always a directory of the tree, made here and before its
    /// content, and files are only ever made, never opened.
    pub fn extract(&self, dir: &Path) -> Result<Vec<ImagePath>, TreeError> {
        fs_err::create_dir_all(dir)?;
        if fs_err::read_dir(dir)?.next().is_some() {
            return Err(TreeError::NotEmpty(dir.to_owned()));
        }
        let mut skipped = Vec::new();
        for (path, entry) in self.iter() {
            self.check_parent(path)?;
            let to = dir.join(path.as_path());
            match &entry.kind {
                Kind::Dir => make_dir(&to, entry.mode)?,
                Kind::Symlink(target) => {
                    symlink(OsStr::from_bytes(target), &to)?;
                }
                Kind::Special(_) => skipped.push(path.clone()),
                Kind::File(_) | Kind::Hardlink(_) => {
                    let (_, file) = self.follow_hardlinks(path)?;
                    match &file.kind {
                        Kind::File(content) => make_file(path, &to, content, file)?,
                        kind => {
                            return Err(TreeError::NotAFile {
                                path: path.clone(),
                                found: kind.name(),
                            });
                        }
                    }
                }
            }
        }
        Ok(skipped)
    }

    fn check_parent(&self, path: &ImagePath) -> Result<(), TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        match self.get(&parent) {
            Some(entry) if entry.is_dir() => Ok(()),
            found => Err(TreeError::ParentNotDir {
                path: path.clone(),
                found: found.map_or("missing", |entry: &Entry| entry.kind.name()),
                parent,
            }),
        }
    }
}

fn make_dir(to: &Path, mode: u32) -> io::Result<()> {
    fs_err::create_dir(to)?;
    set_mode(to, mode & 0o1777 | 0o700)
}

fn make_file(
    path: &ImagePath,
    to: &Path,
    content: &Content,
    entry: &Entry,
) -> Result<(), TreeError> {
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let got = match content.open()? {
        // Both ends files: the kernel copies.
        crate::entry::ContentReader::File(mut from) => io::copy(&mut from, file.file_mut())?,
        mut from => io::copy(&mut from, &mut file)?,
    };
    if got != content.len() {
        return Err(TreeError::Changed {
            path: path.clone(),
            expected: content.len(),
            got,
        });
    }
    if let Some(seconds) = entry.mtime {
        // The year 2106 is far enough; file systems refuse what is much later.
        let age = Duration::from_secs(seconds.clamp(0, u32::MAX.into()) as u64);
        file.file().set_modified(SystemTime::UNIX_EPOCH + age)?;
    }
    drop(file);
    Ok(set_mode(to, entry.mode & 0o1777)?)
}

fn set_mode(to: &Path, mode: u32) -> io::Result<()> {
    fs_err::set_permissions(to, PermissionsExt::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Special;

    fn tree(entries: &[(&str, Entry)]) -> Tree {
        let mut tree = Tree::new();
        for (path, entry) in entries {
            tree.insert(path.parse().unwrap(), entry.clone()).unwrap();
        }
        tree
    }

    #[test]
    fn what_is_written_is_what_the_tree_says() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("new/root");
        let mut device = Entry::dir(0o666);
        device.kind = Kind::Special(Special::CharDevice(1, 3));
        let mut hardlink = Entry::dir(0o644);
        hardlink.kind = Kind::Hardlink("z".parse().unwrap());
        let skipped = tree(&[
            ("closed", Entry::dir(0o555)),
            ("closed/file", Entry::file("in", 0o444)),
            ("dev/null", device),
            ("hard", hardlink),
            ("link", Entry::symlink("/etc/passwd")),
            ("sudo", Entry::file("root", 0o4755)),
            ("z", Entry::file("zz", 0o640)),
        ])
        .extract(&to)
        .unwrap();
        assert_eq!(skipped, ["dev/null".parse().unwrap()]);
        let mode = |name: &str| {
            fs_err::symlink_metadata(to.join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("closed"), 0o40755);
        assert_eq!(mode("closed/file"), 0o100444);
        assert_eq!(mode("sudo"), 0o100755);
        assert_eq!(mode("hard"), 0o100640);
        assert_eq!(fs_err::read(to.join("hard")).unwrap(), b"zz");
        assert_eq!(
            fs_err::read_link(to.join("link")).unwrap(),
            Path::new("/etc/passwd")
        );
        assert!(!to.join("dev/null").exists());
    }

    #[test]
    fn only_an_empty_folder_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("precious"), "x").unwrap();
        let error = Tree::new().extract(dir.path()).unwrap_err();
        assert!(matches!(error, TreeError::NotEmpty(_)), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_file_that_shrank_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs_err::write(&source, "12345").unwrap();
        let content = Content::File {
            path: source.clone().into(),
            offset: 2,
            len: 3,
        };
        let tree = tree(&[("f", Entry::file(content, 0o644))]);
        tree.extract(&dir.path().join("good")).unwrap();
        assert_eq!(fs_err::read(dir.path().join("good/f")).unwrap(), b"345");
        fs_err::write(&source, "1234").unwrap();
        let error = tree.extract(&dir.path().join("bad")).unwrap_err();
        assert!(
            matches!(error, TreeError::Changed { got: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_broken_tree_is_refused_before_anything_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs_err::create_dir(&outside).unwrap();
        let mut tree = tree(&[("d/x", Entry::file("x", 0o644))]);
        // Behind the tree's back: only a bug in this crate could do it.
        tree.entries.insert(
            "d".parse().unwrap(),
            Box::new(Entry::symlink(outside.to_str().unwrap())),
        );
        let error = tree.extract(&dir.path().join("root")).unwrap_err();
        assert!(matches!(error, TreeError::ParentNotDir { .. }), "{error}");
        assert!(!outside.join("x").exists());
    }
}
