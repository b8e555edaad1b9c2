//! A build without a sandbox: the paths that scripts know are real folders of this machine, which therefore has to be a
//! container made for it. One step at a time; nothing keeps a script from anything that the user may do.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Mount, Sandbox};
use crate::process::{Process, ProcessError};

/// Where scripts expect everything.
const ROOT: &str = "/imgbuild";
/// Says that the folder is ours, and is locked by who uses it.
const MARK: &str = ".imgbuild-without-sandbox";

/// The folder [`ROOT`], for one step at a time. What the step needed is gone when this is dropped.
pub struct Bare {
    _lock: fs::File,
    temporary: BTreeSet<OsString>,
}

/// Why a step cannot run without a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// No such folder can be made.
    #[error("without a sandbox scripts run in {ROOT}, which cannot be used")]
    Root(#[source] io::Error),
    /// Something of the user's is there.
    #[error("without a sandbox scripts would run over {}, which is there already", .0.display())]
    Taken(PathBuf),
    /// A place cannot be filled.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A copy failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Bare {
    /// Waits for the folder and empties it.
    pub fn open() -> Result<Self, BareError> {
        let root = Path::new(ROOT);
        let mark = root.join(MARK);
        if root.exists() && !mark.exists() {
            return Err(BareError::Taken(root.to_owned()));
        }
        let lock = fs::create_dir_all(root)
            .and_then(|()| fs::File::create(&mark))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(BareError::Root)?;
        empty()?;
        Ok(Self {
            _lock: lock,
            temporary: names(Path::new("/tmp")),
        })
    }

    /// Where the step's own folders are made.
    pub fn path(&self) -> &Path {
        Path::new(ROOT)
    }

    /// Brings everything to its place, and prepares the command.
    pub fn command(&self, sandbox: &Sandbox, command: &[&str]) -> Result<Process, BareError> {
        for mount in &sandbox.mounts {
            let (Mount::ReadOnly(host, inside) | Mount::Writable(host, inside)) = mount;
            let place = Path::new(inside);
            if host == place || ["/tmp", "/dev/shm"].contains(&inside.as_str()) {
                continue;
            }
            if place.exists() {
                return Err(BareError::Taken(place.to_owned()));
            }
            match mount {
                Mount::Writable(..) => std::os::unix::fs::symlink(host, place)?,
                Mount::ReadOnly(..) => {
                    if let Some(folder) = place.parent() {
                        fs::create_dir_all(folder)?;
                    }
                    if !place.starts_with(ROOT) {
                        let list = place.as_os_str().as_encoded_bytes();
                        fs::write(Path::new(ROOT).join(ELSEWHERE), list)?;
                    }
                    // Not links to it: compilers look beside their own real path.
                    Process::cleared("cp")
                        .args(["--archive", "--reflink=auto"])
                        .args([host.as_path(), place])
                        .run()?;
                }
            }
        }
        let mut process = Process::cleared(command[0]).args(&command[1..]);
        for (name, value) in &sandbox.environment {
            process = process.env(name, value);
        }
        if let Some(folder) = &sandbox.folder {
            process = process.current_dir(folder);
        }
        Ok(process)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // What stays is removed before the next step.
        let _ = empty();
        for name in names(Path::new("/tmp")).difference(&self.temporary) {
            let _ = remove(&Path::new("/tmp").join(name));
        }
    }
}

/// The file that names the place outside that the step has filled.
const ELSEWHERE: &str = ".elsewhere";

fn empty() -> io::Result<()> {
    let root = Path::new(ROOT);
    if let Ok(place) = fs::read_to_string(root.join(ELSEWHERE)) {
        let _ = remove(Path::new(&place));
    }
    for name in names(root) {
        if name != MARK {
            remove(&root.join(name))?;
        }
    }
    Ok(())
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}
