//! Why a build stops.

use std::io;
use std::path::PathBuf;

use oci::Digest;

use super::base::BaseFault;
use super::limits::Exceeded;
use super::sandbox::BareError;
use crate::arch::UnknownArch;
use crate::inputs::{DebError, FetchError, StoreError, UnpackError};
use crate::process::ProcessError;

/// A build that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A script failed.
    #[error("building {title} failed ({status})\n{last}\nthe whole log: {}", log.display())]
    Step {
        /// For people.
        title: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        last: String,
        /// Everything it wrote.
        log: PathBuf,
    },
    /// A script used more than it may.
    #[error("building {title} was stopped: {exceeded}\nthe whole log: {}", log.display())]
    Stopped {
        /// For people.
        title: String,
        /// What was too much.
        exceeded: Exceeded,
        /// Everything it wrote.
        log: PathBuf,
    },
    /// An input cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Neither the base nor its stand-in can be had.
    #[error("{first}\n{}\n{second}\n{}", cause(first), cause(second))]
    NoBase {
        /// Why not the base.
        first: Box<FetchError>,
        /// Why not the stand-in.
        second: Box<FetchError>,
    },
    /// The base is not what its definition says.
    #[error(transparent)]
    Base(#[from] BaseFault),
    /// The lock has nothing for this machine.
    #[error("the lock has no {what} for {arch}")]
    NotLocked {
        /// What is missing.
        what: String,
        /// The machine type.
        arch: crate::arch::Arch,
    },
    /// A library without a build script.
    #[error("the lock names a C library {0:?} that has no build script")]
    Library(String),
    /// The machine that this program runs on.
    #[error(transparent)]
    Arch(#[from] UnknownArch),
    /// A stored output is gone while it is needed.
    #[error("{0} vanished from the store")]
    Vanished(Digest),
    /// An input's archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A Debian package cannot be read.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// A build without a sandbox.
    #[error(transparent)]
    Bare(#[from] BareError),
    /// A program of the host.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree, a layer or an image.
    #[error(transparent)]
    Tree(#[from] oci::tree::TreeError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] oci::LayerError),
    /// A root file system.
    #[error(transparent)]
    Root(#[from] oci::root::RootError),
    /// A tar.
    #[error(transparent)]
    Tar(#[from] oci::tar_writer::TarWriteError),
    /// An image.
    #[error(transparent)]
    Image(#[from] oci::ImageError),
    /// The file system; the error names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BuildError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Step { last, .. } if last.starts_with("bwrap: ") => Some(sandbox_hint(last)),
            Self::Step { last, .. } if met_a_limit(last) => Some(
                "a step may use so much and no more: see --step-limits, if that is too little"
                    .to_owned(),
            ),
            Self::Stopped { exceeded, .. } => {
                let key = exceeded.key();
                Some(format!(
                    "if it needs more, allow it with --step-limits {key}=…"
                ))
            }
            Self::Step { .. } => Some(
                "the log shows the first error; run the same command again to try once more"
                    .to_owned(),
            ),
            Self::NoBase { second, .. } => second.hint(),
            Self::NotLocked { .. } => Some("run `imgbuild lock` again".to_owned()),
            Self::Library(_) => Some("run `imgbuild lock` again".to_owned()),
            Self::Vanished(_) => Some("run the same command again".to_owned()),
            Self::Base(fault) => Some(fault.hint()),
            Self::Fetch(error) => error.hint(),
            Self::Bare(_) => Some(
                "--sandbox off is for a container of its own, in which you are root".to_owned(),
            ),
            Self::Process(error) => error.hint(),
            Self::Layer(error) => error.hint().map(str::to_owned),
            Self::Root(error) => error.hint().map(str::to_owned),
            Self::Tar(error) => error.hint().map(str::to_owned),
            Self::Image(error) => error.hint().map(str::to_owned),
            Self::Tree(error) => error.hint().map(str::to_owned),
            Self::Store(error) => error.hint(),
            Self::Deb(error) => error.hint().map(str::to_owned),
            Self::Unpack(error) => error.hint().map(str::to_owned),
            Self::Arch(_) | Self::Io(_) => None,
        }
    }
}

/// Whether the kernel refused something that [`super::StepLimits`] limits.
fn met_a_limit(said: &str) -> bool {
    [
        "file too large",
        "file size limit exceeded",
        "cannot allocate memory",
        "memoryerror",
        "out of memory",
        "outofmemory",
        "cannot fork",
        "resource temporarily unavailable",
    ]
    .iter()
    .any(|sign| said.to_lowercase().contains(sign))
}

/// What a machine that cannot make the sandbox needs.
fn sandbox_hint(said: &str) -> String {
    let advice = if said.contains("mount proc") {
        "a container that hides parts of /proc has no room for another one: start it with --security-opt systempaths=unconfined"
    } else {
        "allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1` on Debian, \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, `sysctl user.max_user_namespaces=10000` on others, \
         --security-opt seccomp=unconfined for a container"
    };
    format!(
        "build scripts run in a sandbox, which this machine refuses; {advice}; \
         or, in a container that is made for the build, --sandbox off"
    )
}

/// The places that were asked, as the error's cause lists them.
fn cause(error: &FetchError) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}
