//! A tree of a folder on this machine, in canonical form: who built it and with which umask does not show.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use super::{Tree, TreeError};
use crate::ImagePath;
use crate::entry::{Content, Entry};

impl Tree {
    /// Reads a folder: directories get mode 0755, files 0755 or 0644 by their owner's executable bit; everything is
    /// root's; hard links become files of their own; times and extended attributes of this machine are left out.
    /// Content is not read: the folder must stay as it is while the tree is used.
    pub fn from_dir(dir: &Path) -> Result<Self, TreeError> {
        let mut tree = Self::new();
        add(&mut tree, dir, None)?;
        Ok(tree)
    }
}

fn add(tree: &mut Tree, dir: &Path, below: Option<&ImagePath>) -> Result<(), TreeError> {
    for child in fs_err::read_dir(dir)? {
        let child = child?;
        let source = child.path();
        let name = child.file_name();
        let path = match below {
            Some(below) => below.join(name.as_bytes())?,
            None => ImagePath::new(name.as_bytes())?,
        };
        let metadata = fs_err::symlink_metadata(&source)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            tree.insert(path.clone(), Entry::dir(0o755))?;
            add(tree, &source, Some(&path))?;
        } else if kind.is_symlink() {
            let target = fs_err::read_link(&source)?.into_os_string().into_vec();
            tree.insert(path, Entry::symlink(target))?;
        } else if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let content = Content::File {
                path: source.into(),
                offset: 0,
                len: metadata.len(),
            };
            tree.insert(
                path,
                Entry::file(content, if executable { 0o755 } else { 0o644 }),
            )?;
        } else {
            return Err(TreeError::Unsupported {
                path: source,
                found: if kind.is_socket() {
                    "socket"
                } else if kind.is_fifo() {
                    "named pipe"
                } else {
                    "device node"
                },
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn modes_owners_and_links_are_canonical() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs_err::create_dir_all(root.join("lib/empty")).unwrap();
        for (name, mode) in [("lib/tool", 0o4750), ("lib/data", 0o600)] {
            fs_err::write(root.join(name), name).unwrap();
            fs_err::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        fs_err::set_permissions(root.join("lib/empty"), PermissionsExt::from_mode(0o700)).unwrap();
        fs_err::hard_link(root.join("lib/data"), root.join("lib/again")).unwrap();
        symlink("/etc/../x", root.join("link")).unwrap();
        assert_eq!(
            Tree::from_dir(root).unwrap().listing(),
            "\
drwxr-xr-x 0 0 0 lib
-rw-r--r-- 0 0 8 lib/again
-rw-r--r-- 0 0 8 lib/data
drwxr-xr-x 0 0 0 lib/empty
-rwxr-xr-x 0 0 8 lib/tool
lrwxrwxrwx 0 0 0 link -> /etc/../x
"
        );
    }

    #[test]
    fn a_socket_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let error = Tree::from_dir(dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("/s is a socket"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Tree::from_dir(Path::new("/nonexistent/tree")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/tree"), "{error}");
    }
}
