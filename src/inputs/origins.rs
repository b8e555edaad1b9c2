//! One origin, one way to ask. Comes in an origin and a digest, goes out a blob in the store or the reason why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use oci::Digest;
use oci::registry::{Network, PullError, TransferError};

use super::debian::{Apt, PoolFile};
use super::progress::Transfer;
use super::url::Urls;
use super::{Artifact, Origin, Store, StoreError, batch, crate_, image, wheel};
use crate::process::ProcessError;

/// Why an origin did not give the artifact.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It gave other bytes, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The transfer over HTTP failed.
    #[error(transparent)]
    Transfer(TransferError),
    /// The registry did not give the image.
    #[error(transparent)]
    Image(PullError),
    /// The tool that speaks to the origin failed.
    #[error("{}", one_line(_0))]
    Tool(#[from] ProcessError),
    /// The tool ended well, but the file is not there.
    #[error("{0} did not leave {1}")]
    NoFile(&'static str, String),
    /// The tool had no network a moment ago.
    #[error("not asked again: {0}")]
    Down(String),
    /// The file of a `file` origin cannot be read; the error names it.
    #[error(transparent)]
    File(std::io::Error),
    /// The origin makes no sense on this machine.
    #[error("{0}")]
    Unusable(String),
}

impl From<TransferError> for Reason {
    /// A disk that is full or gone is not the origin's fault.
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::File(error) => Self::Store(error.into()),
            error => Self::Transfer(error),
        }
    }
}

impl From<PullError> for Reason {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Transfer(TransferError::File(error)) => Self::Store(error.into()),
            error => Self::Image(error),
        }
    }
}

/// Everything that the kinds of origins share during a run.
pub(super) struct Origins<'s> {
    store: &'s Store,
    urls: Urls,
    apt: Apt<'s>,
    /// Tools that could not reach their servers, and what they said.
    down: Mutex<BTreeMap<&'static str, String>>,
}

impl<'s> Origins<'s> {
    pub(super) fn new(store: &'s Store, network: &Network) -> Self {
        Self {
            store,
            urls: Urls::new(network),
            apt: Apt::new(store),
            down: Mutex::default(),
        }
    }

    /// Many Debian packages together; returns those that came.
    pub(super) fn prefetch(&self, artifacts: &[&Artifact]) -> Result<BTreeSet<Digest>, StoreError> {
        batch::prefetch(self.store, &self.apt, artifacts)
    }

    pub(super) fn fetch(
        &self,
        name: &str,
        artifact: &Artifact,
        origin: &Origin,
    ) -> Result<PathBuf, Reason> {
        let transfer = self.store.progress().transfer(name, artifact.size);
        transfer.from(&origin.to_string());
        let path = match origin {
            Origin::Oci { reference, arch } => image::fetch(
                self.store,
                &self.urls,
                reference,
                *arch,
                &artifact.sha256,
                &transfer,
            )?,
            _ => self.store.obtain(&artifact.sha256, |part| {
                self.file(artifact, origin, part, &transfer)
            })?,
        };
        let size = fs::metadata(&path).map_err(StoreError::from)?.len();
        transfer.done(size, &origin.to_string());
        Ok(path)
    }

    fn file(
        &self,
        artifact: &Artifact,
        origin: &Origin,
        part: &Path,
        transfer: &Transfer,
    ) -> Result<(), Reason> {
        origin.check()?;
        match origin {
            Origin::Url(url) => self.urls.fetch(url, artifact, part, transfer),
            Origin::Wheel {
                name,
                version,
                filename,
            } => self.tool("pip", part, |dir| {
                wheel::fetch(name, version, filename, dir)
            }),
            Origin::Crate { name, version } => {
                self.tool("cargo", part, |dir| crate_::fetch(name, version, dir))
            }
            Origin::DebianSource { .. } | Origin::DebianPackage { .. } => {
                let file = PoolFile::of(origin)
                    .ok_or_else(|| Reason::Unusable("no name of a file".to_owned()))?;
                self.tool("apt-helper", part, |dir| self.apt.file(&file, dir))
            }
            Origin::File(path) => {
                let mut file = fs::File::open(path).map_err(Reason::File)?;
                let mut copy = fs::File::create(part).map_err(StoreError::from)?;
                std::io::copy(&mut file, &mut copy).map_err(StoreError::from)?;
                Ok(())
            }
            Origin::Oci { .. } => Err(Reason::Unusable("an image is not a file".to_owned())),
        }
    }

    /// Runs a tool in a folder of its own and takes the file that it leaves.
    fn tool(
        &self,
        tool: &'static str,
        part: &Path,
        run: impl FnOnce(&Path) -> Result<PathBuf, Reason>,
    ) -> Result<(), Reason> {
        let known = self
            .down
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(tool)
            .cloned();
        if let Some(said) = known {
            return Err(Reason::Down(said));
        }
        let dir = self.store.temporary()?;
        let file = run(dir.path()).inspect_err(|reason| {
            if let Some(said) = reason.network_is_down() {
                let said = format!("{tool} reached no server ({said})");
                self.down
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(tool, said);
            }
        })?;
        move_file(&file, part, dir.path()).map_err(StoreError::from)?;
        Ok(())
    }
}

impl Origin {
    /// Names become arguments and parts of file names; none may be an option or a path.
    pub(super) fn check(&self) -> Result<(), Reason> {
        let words: &[&str] = match self {
            Self::Wheel {
                name,
                version,
                filename,
            } => &[name, version, filename],
            Self::Crate { name, version } => &[name, version],
            Self::DebianSource {
                package,
                version,
                suite,
                file,
            } => &[package, version, suite, file],
            Self::DebianPackage {
                package,
                version,
                source,
                suite,
                arch,
            } => &[package, version, source, suite, arch],
            Self::Url(_) | Self::Oci { .. } | Self::File(_) => &[],
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-~:".contains(c);
        let odd = words.iter().find(|word| {
            !word.starts_with(|c: char| c.is_ascii_alphanumeric()) || !word.chars().all(plain)
        });
        odd.map_or(Ok(()), |word| {
            Err(Reason::Unusable(format!("{word:?} is no name or version")))
        })
    }
}

/// A file in the tool's own folder is moved; one in the user's cache is copied.
fn move_file(file: &Path, part: &Path, dir: &Path) -> std::io::Result<()> {
    if file.starts_with(dir) {
        fs::rename(file, part)
    } else {
        fs::copy(file, part).map(drop)
    }
}

impl Reason {
    /// Whether the origin serves other bytes than the lock pins.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Store(StoreError::Mismatch { .. }))
            || matches!(self.transfer(), Some(TransferError::Mismatch { .. }))
    }

    /// Whether apt's mirrors answered, and have no such file.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Tool(error) if error.tail().contains("  404  Not Found"))
    }

    /// What went wrong on the way, for origins that are reached over HTTP.
    pub(super) fn transfer(&self) -> Option<&TransferError> {
        match self {
            Self::Transfer(error) | Self::Image(PullError::Transfer(error)) => Some(error),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Tool(error) => error.hint(),
            Self::Transfer(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::NoFile(..) | Self::Down(_) | Self::File(_) | Self::Unusable(_) => None,
        }
    }

    /// The words of a tool that found no network, which the next call would find neither.
    fn network_is_down(&self) -> Option<String> {
        const WORDS: [&str; 9] = [
            "Could not resolve '",
            "Temporary failure resolving",
            "Temporary failure in name resolution",
            "Could not resolve host",
            "Could not connect",
            "Failed to connect",
            "Name or service not known",
            "Network is unreachable",
            "Connection refused",
        ];
        let Self::Tool(error) = self else { return None };
        let line = error
            .tail()
            .lines()
            .find(|line| WORDS.iter().any(|words| line.contains(words)))?;
        Some(line.trim().chars().take(200).collect())
    }
}

/// A tool's error in one line: the lines that its authors marked as errors, or the last ones.
fn one_line(error: &ProcessError) -> String {
    let ProcessError::Failed {
        program,
        status,
        tail,
        ..
    } = error
    else {
        return error.to_string();
    };
    let marked: Vec<&str> = tail
        .lines()
        .filter(|line| line.starts_with("E: ") || line.to_ascii_lowercase().starts_with("error: "))
        .collect();
    let lines = if marked.is_empty() {
        tail.lines().rev().take(2).collect()
    } else {
        marked
    };
    let lines: Vec<&str> = lines.into_iter().map(str::trim).collect();
    format!("{program} failed ({status}): {}", lines.join(" / "))
}
