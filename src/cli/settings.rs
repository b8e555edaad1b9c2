//! Flags and environment, resolved: what a command works with. The one place that reads the environment.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the home of the environment"
)]

mod network;

use std::env;
use std::io::IsTerminal;
use std::path::PathBuf;

use oci::Epoch;

use super::flags::{self, Common, Format};
use crate::inputs::{Progress, ProgressMode, Store, StoreError, Temporary};
use crate::recipe::Library;

/// What is the same for every command.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store's folder.
    pub cache: PathBuf,
    /// The store below it, of which only is read.
    cache_lower: Option<PathBuf>,
    /// Where definitions are found.
    pub library: Library,
    /// How results are written.
    pub format: Format,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// How servers are reached, as far as flags say.
    network: flags::Network,
    /// What builds read and may do.
    pub steps: flags::Steps,
    /// SOURCE_DATE_EPOCH.
    pub epoch: Option<Epoch>,
    /// How many compilers run at a time when nobody says.
    pub cores: usize,
}

/// An environment that cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No place for the store.
    #[error("there is no home folder to keep the cache in")]
    NoCache,
    /// SOURCE_DATE_EPOCH is no time.
    #[error("SOURCE_DATE_EPOCH cannot be used")]
    Epoch(#[source] oci::epoch::InvalidEpoch),
    /// The file of --ca-cert is no use.
    #[error("--ca-cert cannot be used")]
    Ca(#[source] oci::registry::CaError),
}

impl SettingsError {
    /// What the user can set.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoCache => "name a folder with --cache-dir or IMGBUILD_CACHE",
            Self::Epoch(_) => {
                "unset it, or set it as in SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)"
            }
            Self::Ca(error) => error.hint(),
        }
    }
}

impl Settings {
    /// Reads the environment.
    pub fn resolve(common: &Common) -> Result<Self, SettingsError> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = || {
            set("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
        };
        let cache = match &common.cache_dir {
            Some(folder) => folder.clone(),
            None => home().ok_or(SettingsError::NoCache)?.join("imgbuild"),
        };
        let epoch = match set("SOURCE_DATE_EPOCH") {
            Some(text) => Some(
                text.to_string_lossy()
                    .parse()
                    .map_err(SettingsError::Epoch)?,
            ),
            None => None,
        };
        let progress = match () {
            () if common.quiet => ProgressMode::Quiet,
            () if std::io::stderr().is_terminal()
                && set("CI").is_none()
                && set("NO_COLOR").is_none() =>
            {
                ProgressMode::Bars
            }
            () => ProgressMode::Lines,
        };
        Ok(Self {
            cache: std::path::absolute(&cache).unwrap_or(cache),
            cache_lower: common
                .cache_lower
                .as_ref()
                .map(|folder| std::path::absolute(folder).unwrap_or(folder.clone())),
            library: Library::new("."),
            format: common.format,
            progress,
            epoch,
            network: common.network.clone(),
            steps: common.steps.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// The store, above the one of which only is read.
    pub fn store(&self, progress: Progress) -> Result<Store, StoreError> {
        Ok(Store::open(&self.cache, progress)?.over(self.cache_lower.as_deref()))
    }

    /// A folder for what comes from elsewhere while a command works with it.
    pub fn scratch(&self) -> Result<Temporary, StoreError> {
        self.store(Progress::new(self.progress))?.temporary()
    }

    /// PATH, for finding the tools of the host.
    pub fn path() -> String {
        env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())
    }
}
