//! Locks between processes, and temporary entries that tell whether their owner lives. Both are kernel locks on open
//! files: they end with the process, however it ends.

use std::collections::BTreeSet;
use std::fs::TryLockError;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;

use super::Progress;

/// Held while making a temporary entry (shared) and while clearing dead ones (alone): between its creation and its
/// lock an entry looks dead.
const GATE: &str = ".gate";

/// The folder of [`Temporary::session`].
pub(super) const SESSIONS: &str = "sessions";

/// Waiting shorter than this is not worth a message.
const PATIENCE: Duration = Duration::from_millis(500);

/// The temporary entries of this process.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A held key; let go when dropped.
#[must_use]
pub struct Lock {
    _file: fs::File,
}

/// A file or folder in the store's `tmp`, locked while it is in use, removed when dropped.
pub struct Temporary {
    path: PathBuf,
    file: fs::File,
}

impl Lock {
    pub(super) fn take(root: &Path, key: &str, progress: &Progress) -> io::Result<Self> {
        let file = open(root, key)?;
        wait(
            &file,
            key,
            progress,
            |file| file.try_lock(),
            |file| file.lock(),
        )?;
        Ok(Self { _file: file })
    }

    pub(super) fn share(root: &Path, key: &str, progress: &Progress) -> io::Result<Self> {
        let file = open(root, key)?;
        wait(
            &file,
            key,
            progress,
            |file| file.try_lock_shared(),
            |file| file.lock_shared(),
        )?;
        Ok(Self { _file: file })
    }
}

fn open(root: &Path, key: &str) -> io::Result<fs::File> {
    let path = root.join("locks").join(key);
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

fn wait(
    file: &fs::File,
    key: &str,
    progress: &Progress,
    attempt: impl Fn(&fs::File) -> Result<(), TryLockError>,
    block: impl Fn(&fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match attempt(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {
                std::thread::sleep(PATIENCE / 20)
            }
            Err(TryLockError::WouldBlock) => {
                progress.note(&format!("waiting for {key}, which is in use"));
                return block(file);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

impl Temporary {
    pub(super) fn file(root: &Path) -> io::Result<Self> {
        Self::file_in(root, "tmp")
    }

    /// A file that says, while it is locked, that its process works with the store; its time is when that began.
    pub(super) fn session(root: &Path) -> io::Result<Self> {
        Self::file_in(root, SESSIONS)
    }

    fn file_in(root: &Path, folder: &str) -> io::Result<Self> {
        let _gate = gate(root)?;
        let (file, path) = tempfile::Builder::new()
            // The umask decides, as for any file; tempfile's own default is for its owner only.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(root.join(folder))?
            .keep()
            .map_err(|error| error.error)?;
        let file = fs::File::from_parts(file, &path);
        file.lock()?;
        Ok(Self::new(path, file))
    }

    fn new(path: PathBuf, file: fs::File) -> Self {
        live().insert(path.clone());
        Self { path, file }
    }

    pub(super) fn dir(root: &Path) -> io::Result<Self> {
        let _gate = gate(root)?;
        let path = tempfile::Builder::new()
            .tempdir_in(root.join("tmp"))?
            .keep();
        let file = fs::File::open(&path)?;
        file.lock()?;
        Ok(Self::new(path, file))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for Temporary {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails after a rename, as it should; a left-over is cleared by the next process.
        let _ = remove(&self.path);
        live().remove(&self.path);
    }
}

/// Removes the temporary entries of this process, which ends without dropping them.
pub fn remove_temporaries() {
    for path in live().clone() {
        let _ = remove(&path);
    }
}

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary entries whose owners are dead.
pub(super) fn clean(root: &Path) -> io::Result<()> {
    let gate = open(root, GATE)?;
    match gate.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    for folder in ["tmp", SESSIONS] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let dead = match fs::File::open(&path) {
                Ok(file) => file.try_lock().is_ok(),
                Err(_) => false,
            };
            if dead {
                // Its owner may have finished and removed it just now.
                let _ = remove(&path);
            }
        }
    }
    Ok(())
}

/// When each process that works with the store began to.
pub(super) fn sessions(root: &Path) -> io::Result<Vec<SystemTime>> {
    let gate = open(root, GATE)?;
    gate.lock()?;
    let mut began = Vec::new();
    for entry in fs::read_dir(root.join(SESSIONS))? {
        // One that is gone has just ended.
        let Ok(file) = fs::File::open(entry?.path()) else {
            continue;
        };
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            began.push(file.metadata()?.modified()?);
        }
    }
    Ok(began)
}

fn gate(root: &Path) -> io::Result<fs::File> {
    let gate = open(root, GATE)?;
    gate.lock_shared()?;
    Ok(gate)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}
